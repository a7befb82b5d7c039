"""Reads a connection together with the kernel's time stamps of its data.

One process that acts as a hundred clients reads them one after the other, at up to ten microseconds each: by its own
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

SO_TIMESTAMPNS = 35  # Linux; Python does not name it. The ancillary data has the same number.
_TIMESPEC = struct.Struct("qq")
_MOST = 1 << 14  # a larger buffer would cost each read a memory mapping of its own


class StampedReader:
    """Reads in the transport's stead until closed: ``take`` gets the data and its time, on the clock of `perf_counter`.

    Data of several packets has the time of the last one, and data without a time stamp, as outside Linux, the time of
    the read: an arrival is never shown too early.
    """

    def __init__(self, transport: asyncio.Transport, take: Callable[[bytes, float], None]) -> None:
        self._transport = transport
        self._take = take
        transport.pause_reading()
        # A duplicate of the descriptor: the loop does not let others watch that of a transport.
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
        if notes:  # data that came before the option was set has none
            seconds, nanoseconds = _TIMESPEC.unpack(notes[0][2])
            age = time() - seconds - nanoseconds / 1e9  # the kernel stamps by the wall clock
        self._take(data, perf_counter() - age)
