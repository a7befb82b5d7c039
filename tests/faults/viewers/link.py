"""One connection that begins with an HTTP request and then goes on for as long as it lasts."""

import asyncio
from abc import ABC, abstractmethod
from urllib.parse import urlsplit

from tests.faults.viewers.viewer import LinkLost, Viewer

_CONNECT_SECONDS = 10.0


class Link(asyncio.Protocol, ABC):
    """The client's end. ``status`` is that of the answer after which `take` is called with every piece that comes."""

    status: int
    transport: asyncio.Transport

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.heard = loop.time()
        self.buffer = bytearray()
        self._time = loop.time
        self._open = False

    @abstractmethod
    def request(self) -> bytes:
        """Return the first bytes to send."""

    @abstractmethod
    def take(self) -> None:
        """Take complete messages out of the buffer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request())

    def connection_lost(self, _: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard = self._time()
        self.buffer += data
        if not self._open:
            head, blank, rest = bytes(self.buffer).partition(b"\r\n\r\n")
            if not blank:
                return
            if f" {self.status} ".encode() not in head.split(b"\r\n")[0]:
                if not self.lost.done():
                    self.lost.set_exception(LinkLost(head.decode(errors="replace")[:80]))
                self.transport.abort()
                return
            self._open, self.buffer = True, bytearray(rest)
        self.take()


class LinkedViewer(Viewer):
    """A client on one such connection: it costs one asyncio transport and no task while it listens."""

    _link: Link | None = None

    @abstractmethod
    def link(self) -> Link:
        """Return a new end for the next connection."""

    @property
    def quiet_since(self) -> float:
        return float("inf") if self._link is None else self._link.heard

    async def listen(self, gateway: str) -> None:
        url = urlsplit(gateway)
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, link = await asyncio.get_running_loop().create_connection(self.link, url.hostname or "", url.port or 80)
        self._link = link
        try:
            await link.lost
        finally:
            self._link = None
            link.transport.abort()

    def drop(self) -> None:
        if self._link is not None:
            self._link.transport.abort()
