"""Repeats one request on several keep-alive connections: `python -m bench.load.http URL`."""

import asyncio
import json
import re
import sys
from time import perf_counter, time_ns
from typing import Any
from urllib.parse import urlsplit

from bench.load.commands import serve

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BODY = b'{"customer_name":"Ada Lindqvist","product_name":"Walnut desk","status":"pending"}'
ORDER = json.loads(BODY)
BATCH = json.dumps({"operations": [{"operation": "INSERT", "order": ORDER}] * 100}).encode()


class Requests:
    """The connections, and the requests sent on them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._left = 0
        self._has_key = False
        self._length = 0
        self._is_encoded = False

    async def prepare_encoded(self, connections: int, path: str, coding: str) -> None:
        """Open the connections; the call `GET` is for this path, with its answer in this coding."""
        self._is_encoded = coding != "identity"
        self._connections = [await asyncio.open_connection(*self._address) for _ in range(connections)]
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: {coding}\r\n\r\n"
        self._calls = {"GET": ([head.encode()] * connections, b"200")}

    async def prepare(self, connections: int) -> None:
        """Open the connections, and create an order for each to request."""
        post, own = request("POST", "/api/orders", BODY), []
        for number in range(connections):
            self._connections.append(await asyncio.open_connection(*self._address))
            created = json.loads(await self._exchange(number, post, b"201"))
            own.append(request("GET", f"/api/orders/{created['_id']}"))
        self._calls = {
            "GET one": (own, b"200"),
            "GET list of 50": ([request("GET", "/api/orders?limit=50")] * connections, b"200"),
            "POST": ([post] * connections, b"201"),
            "POST with key": ([post] * connections, b"201"),
            "batch of 100": ([request("POST", "/api/orders:batch", BATCH)] * connections, b"200"),
        }

    async def call(self, call: str, count: int) -> dict[str, Any]:
        """Send ``count`` requests, shared among the connections."""
        requests, status = self._calls[call]
        self._left = count
        self._has_key = call == "POST with key"
        started = perf_counter()
        await asyncio.gather(*[self._repeat(number, request, status) for number, request in enumerate(requests)])
        return {"seconds": perf_counter() - started, "bytes": self._length}

    async def crowd(self, pages: int) -> dict[str, Any]:
        """Load the list once over each of so many new connections, all at once."""
        first = len(self._connections)
        opened = [asyncio.open_connection(*self._address) for _ in range(pages)]
        self._connections += await asyncio.gather(*opened)
        started = perf_counter()
        listing = request("GET", "/api/orders?limit=50")
        await asyncio.gather(*(self._exchange(first + number, listing, b"200") for number in range(pages)))
        seconds = perf_counter() - started
        for _, writer in self._connections[first:]:
            writer.close()
        del self._connections[first:]
        return {"seconds": seconds}

    async def _repeat(self, connection: int, request: bytes, status: bytes) -> None:
        while self._left > 0:
            self._left -= 1
            key = b"Idempotency-Key: %d-%d\r\n" % (time_ns(), self._left) if self._has_key else b""
            body = await self._exchange(connection, request.replace(b"\r\n", b"\r\n" + key, 1), status)
            self._length = len(body)
            if not self._is_encoded and body[:1] not in (b"{", b"["):
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


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request; its body is JSON."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


if __name__ == "__main__":
    serve(Requests(sys.argv[1]))
