"""A Server-Sent Events client that comes back as a browser does, with `Last-Event-ID` after the time it was told."""

import asyncio
import json
from urllib.parse import urlencode, urlsplit

from tests.faults.shown import from_sse
from tests.faults.viewers.viewer import LinkLost, Viewer

_CONNECT_SECONDS = 10.0


class SseViewer(Viewer):
    """Costs one asyncio transport and no task while it listens."""

    kind = "sse"
    _link: "_Link | None" = None
    _last_id: str = ""
    _retry: float | None = None

    @property
    def quiet_since(self) -> float:
        return float("inf") if self._link is None else self._link.heard

    async def listen(self, gateway: str) -> None:
        loop = asyncio.get_running_loop()
        url = urlsplit(gateway)
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, link = await loop.create_connection(lambda: _Link(self), url.hostname or "", url.port or 80)
        self._link = link
        try:
            await link.lost
        finally:
            self._link = None
            link.transport.abort()
            if self._retry is not None:
                self.pause = self._retry

    def request(self) -> bytes:
        """Return the request that opens the stream."""
        query = urlencode({"since": self.since, **self.record.wanted.fields()})
        last = f"Last-Event-ID: {self._last_id}\r\n" if self._last_id else ""
        return f"GET /api/orders/events?{query} HTTP/1.1\r\nHost: audit\r\n{last}\r\n".encode()

    def drop(self) -> None:
        if self._link is not None:
            self._link.transport.abort()

    def take(self, block: bytes) -> None:
        """Take one block of the stream, its blank line included."""
        first, _, rest = block.partition(b"\n")
        if first.startswith(b"id: ") and rest.startswith(b"event: orderUpdate\n"):
            self.show(from_sse, block)
            self._last_id = first[4:].decode()
            return
        fields = {}
        for line in block.decode().splitlines():
            name, colon, value = line.partition(": ")
            if colon and name:
                fields[name] = value
        if "retry" in fields:
            self._retry = int(fields["retry"]) / 1000
        came_back = bool(self._last_id)
        self._last_id = fields.get("id", self._last_id)
        match fields.get("event"):
            case "connected":
                self.greeted(recovered=came_back)
            case "resync":
                data = json.loads(fields["data"])
                self.resync(data["reason"], data["cursor"])
            case "orderUpdate":
                self.complain(f"no id: {block[:100]!r}")


class _Link(asyncio.Protocol):
    def __init__(self, viewer: SseViewer) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.heard = loop.time()
        self._time = loop.time
        self._viewer = viewer
        self._raw = bytearray()
        self._text = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._viewer.request())

    def connection_lost(self, _: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.heard = self._time()
        self._raw += data
        if not self._open:
            head, blank, rest = bytes(self._raw).partition(b"\r\n\r\n")
            if not blank:
                return
            if b" 200 " not in head.split(b"\r\n")[0]:
                self.lost.set_exception(LinkLost(head.decode(errors="replace")[:80]))
                self.transport.abort()
                return
            self._open, self._raw = True, bytearray(rest)
        self._unchunk()

    def _unchunk(self) -> None:
        at = 0
        while (line := self._raw.find(b"\r\n", at)) >= 0:
            size = int(self._raw[at:line], 16)
            if len(self._raw) < line + 2 + size + 2:
                break
            self._feed(bytes(self._raw[line + 2 : line + 2 + size]))
            at = line + 2 + size + 2
            if size == 0:
                self.transport.abort()
                break
        del self._raw[:at]

    def _feed(self, text: bytes) -> None:
        *blocks, self._text = (self._text + text).split(b"\n\n")
        for block in blocks:
            self._viewer.take(block + b"\n\n")
