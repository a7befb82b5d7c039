"""Repeats one request on several keep-alive connections: `python -m bench.load.http URL`."""

import asyncio
import json
import re
import sys
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from bench.load.commands import serve

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BODY = b'{"customer_name":"Ada Lindqvist","product_name":"Walnut desk","status":"pending"}'


class Requests:
    """The connections, and the requests sent on them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._left = 0

    async def prepare(self, connections: int) -> None:
        """Open the connections, and create an order for each to request."""
        post, own = _request("POST", "/api/orders", BODY), []
        for number in range(connections):
            self._connections.append(await asyncio.open_connection(*self._address))
            created = json.loads(await self._exchange(number, post, b"201"))
            own.append(_request("GET", f"/api/orders/{created['_id']}"))
        self._calls = {
            "GET one": (own, b"200"),
            "GET list of 50": ([_request("GET", "/api/orders?limit=50")] * connections, b"200"),
            "POST": ([post] * connections, b"201"),
        }

    async def call(self, call: str, count: int) -> dict[str, Any]:
        """Send ``count`` requests, shared among the connections."""
        requests, status = self._calls[call]
        self._left = count
        started = perf_counter()
        await asyncio.gather(*[self._repeat(number, request, status) for number, request in enumerate(requests)])
        return {"seconds": perf_counter() - started}

    async def _repeat(self, connection: int, request: bytes, status: bytes) -> None:
        while self._left > 0:
            self._left -= 1
            body = await self._exchange(connection, request, status)
            if body[:1] not in (b"{", b"["):
                raise RuntimeError(f"the answer is not JSON: {body[:100]!r}")

    async def _exchange(self, connection: int, request: bytes, status: bytes) -> bytes:
        reader, writer = self._connections[connection]
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if head[9:12] != status:
            raise RuntimeError(f"{head[:40]!r} {body[:200]!r}")
        return body


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


if __name__ == "__main__":
    serve(Requests(sys.argv[1]))
