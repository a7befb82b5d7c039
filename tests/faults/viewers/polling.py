"""A Socket.IO client that stays with long-polling."""

import asyncio
from urllib.parse import urlsplit

from tests.faults.viewers.socketio import SocketIOViewer
from tests.faults.viewers.viewer import LinkLost

_PATH = "/socket.io/?EIO=4&transport=polling"
_POLL_SECONDS = 20.0


class PollingViewer(SocketIOViewer):
    """One connection for the waiting GETs, another one for the POSTs."""

    kind = "polling"
    _down: "_Http | None" = None
    _heard: float = float("inf")

    @property
    def quiet_since(self) -> float:
        return self._heard

    async def listen(self, gateway: str) -> None:
        loop = asyncio.get_running_loop()
        self._outbox: list[str] = []
        async with asyncio.timeout(_POLL_SECONDS):
            self._down, up = await _Http.open(gateway), await _Http.open(gateway)
        path = _PATH
        try:
            while True:
                self._heard = loop.time()
                async with asyncio.timeout(_POLL_SECONDS):
                    body = await self._down.request("GET", path)
                for packet in body.split(b"\x1e"):
                    if packet.startswith(b"0"):
                        path += "&sid=" + packet.split(b'"sid":"')[1].split(b'"')[0].decode()
                    self.take(packet)
                    if packet == b"1":
                        raise LinkLost("closed")
                if self._outbox:
                    sent, self._outbox = self._outbox, []
                    async with asyncio.timeout(_POLL_SECONDS):
                        await up.request("POST", path, "\x1e".join(sent).encode())
        finally:
            self._heard = float("inf")
            self.drop()
            self._down = None
            up.writer.transport.abort()

    def drop(self) -> None:
        if self._down is not None:
            self._down.writer.transport.abort()

    def send(self, packet: str) -> None:
        self._outbox.append(packet)


class _Http:
    """One keep-alive connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, gateway: str) -> "_Http":
        url = urlsplit(gateway)
        return cls(*await asyncio.open_connection(url.hostname, url.port, limit=1 << 24))

    async def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 (audit)\r\n"
        head += "Content-Type: text/plain; charset=UTF-8\r\n"
        self.writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        size = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
        content = await self._reader.readexactly(size)
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise LinkLost(answer.split(b"\r\n")[0].decode())
        return content
