"""Reads a connection together with the kernel's word on when its data came in.

One process that plays a hundred clients reads them one after the other, at up to ten microseconds each: by its own
clock the middle one would have everything up to half a millisecond late. Clients on machines of their own do not queue
behind one another.
"""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Callable
from time import perf_counter, time

SO_TIMESTAMPNS = 35  # Linux; Python does not name it. What comes with the data has the same number.
_TIMESPEC = struct.Struct("qq")
_MOST = 1 << 14  # of larger ones each read would be a mapping of memory of its own


class StampedReader:
    """Reads in the transport's stead until closed: ``take`` gets what came, and when, on the clock of `perf_counter`.

    Of what several packets brought, the time is that of the last, and what has none, as where it is not Linux, came
    when it was read: an arrival is never shown too early.
    """

    def __init__(self, transport: asyncio.Transport, take: Callable[[bytes, float], None]) -> None:
        self._transport = transport
        self._take = take
        transport.pause_reading()
        # Another descriptor of the same connection: the loop does not lend out that of a transport.
        self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        self._socket.setblocking(False)
        if sys.platform == "linux":
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        try:
            data, notes, _, _ = self._socket.recvmsg(_MOST, socket.CMSG_SPACE(_TIMESPEC.size))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._transport.abort()
            return
        age = 0.0
        if notes:  # not yet with what came in before the kernel was told
            seconds, nanoseconds = _TIMESPEC.unpack(notes[0][2])
            age = time() - seconds - nanoseconds / 1e9  # the kernel's is the clock that may be set
        self._take(data, perf_counter() - age)
