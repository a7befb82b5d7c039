"""A Server-Sent Events client that reconnects as a browser does, with `Last-Event-ID`, after the time of `retry:`."""

import json
from urllib.parse import urlencode

from tests.faults.shown import from_sse
from tests.faults.viewers.link import Link, LinkedViewer


class SseViewer(LinkedViewer):
    """An event stream."""

    kind = "sse"
    _last_id: str = ""
    _retry: float | None = None

    def link(self) -> Link:
        return _Link(self)

    async def listen(self, gateway: str) -> None:
        try:
            await super().listen(gateway)
        finally:
            if self._retry is not None:
                self.pause = self._retry

    def request(self) -> bytes:
        """Return the request that opens the stream."""
        query = urlencode({"since": self.since, **self.record.wanted.fields()})
        last = f"Last-Event-ID: {self._last_id}\r\n" if self._last_id else ""
        identity = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"GET /api/orders/events?{query} HTTP/1.1\r\nHost: localhost\r\n{identity}{last}\r\n".encode()

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


class _Link(Link):
    status = 200

    def __init__(self, viewer: SseViewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._text = b""

    def request(self) -> bytes:
        return self._viewer.request()

    def take(self) -> None:
        """Take whole chunks."""
        at = 0
        while (line := self.buffer.find(b"\r\n", at)) >= 0:
            size = int(self.buffer[at:line], 16)
            if len(self.buffer) < line + 2 + size + 2:
                break
            self._feed(bytes(self.buffer[line + 2 : line + 2 + size]))
            at = line + 2 + size + 2
            if size == 0:
                self.transport.abort()
                break
        del self.buffer[:at]

    def _feed(self, text: bytes) -> None:
        *blocks, self._text = (self._text + text).split(b"\n\n")
        for block in blocks:
            self._viewer.take(block + b"\n\n")
