"""The clients that are sent identical bytes at the same time."""

import ctypes
import os
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

Client = TypeVar("Client")

# Sends to the sockets from an index on until one does not take everything; returns that one's index and how many bytes
# it took, or the number of sockets.
SendToEach = Callable[["array[int]", int, bytes], tuple[int, int]]
LIBRARY = Path(__file__).with_name("send_to_each.so")


def send_in_python(sockets: "array[int]", first: int, data: bytes) -> tuple[int, int]:
    """Send without a compiled library."""
    for index in range(first, len(sockets)):
        try:
            taken = os.write(sockets[index], data)
        except OSError:  # full, or the client is gone: the transport finds out which
            taken = 0
        if taken != len(data):
            return index, taken
    return len(sockets), 0


def sender_in_c(library: Path) -> SendToEach:
    """Return the sender in C, from the compiled `send_to_each.c`: a seventh of a delivery is Python call overhead."""
    function = ctypes.CDLL(str(library)).send_to_each
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    function.argtypes = (pointer, size, size, ctypes.c_char_p, size, pointer)
    function.restype = size
    taken = size()
    there = ctypes.addressof(taken)

    def send(sockets: "array[int]", first: int, data: bytes) -> tuple[int, int]:
        address, count = sockets.buffer_info()
        stopped: int = function(address, first, count, data, len(data), there)
        return stopped, taken.value

    return send


COMPILED = LIBRARY.exists()
_send_to_each = sender_in_c(LIBRARY) if COMPILED else send_in_python


class Recipients(Generic[Client]):
    """A group's clients at one moment; later joins and leaves have no effect.

    ``clients`` has for each its write function, and the file descriptor that takes the same bytes, if there is one.
    """

    __slots__ = ("_sockets", "_writes", "_writes_only")

    def __init__(self, clients: Sequence[tuple[Client, Callable[[bytes | memoryview], None], int | None]]) -> None:
        self._writes = [(client, write) for client, write, descriptor in clients if descriptor is not None]
        self._sockets = array("i", [descriptor for _, _, descriptor in clients if descriptor is not None])
        self._writes_only = [(client, write) for client, write, descriptor in clients if descriptor is None]

    def __len__(self) -> int:
        return len(self._writes) + len(self._writes_only)

    def write(self, data: bytes, failed: Callable[[Client, Exception], None]) -> None:
        """Send ``data`` to each; bytes that the kernel does not take at once go to the client's write function.

        ``failed`` is called for each client whose write function raises; the others are still served.
        """
        for client, write in self._writes_only:
            try:
                write(data)
            except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this client only
                failed(client, error)
        rest = memoryview(data)  # slow clients share the remainder: a copy for each would multiply the memory
        first = 0
        while first < len(self._writes):
            stopped, taken = _send_to_each(self._sockets, first, data)
            if stopped < len(self._writes):
                client, write = self._writes[stopped]
                try:
                    write(rest[taken:])
                except Exception as error:  # noqa: BLE001 - the same
                    failed(client, error)
            first = stopped + 1
