"""Clients of several addresses that send requests whether or not the earlier ones are answered: `… offered URL`."""

import asyncio
import json
import random
import re
import sys
from collections import Counter, deque
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from itertools import count
from time import perf_counter, process_time
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from bench.load.commands import serve
from bench.load.http import BODY, request
from bench.load.latency import percentile

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 9))
MOST_CONNECTIONS = 400  # of one address; a request that finds none free is not sent, and counts as failed
ORDERS = 200
TICK = 0.002
DRAIN_SECONDS = 3.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Tally:
    """What became of the requests that were to be sent, and after how long, counted from when each was due."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.waits: dict[str, list[float]] = {}

    def note(self, outcome: str, seconds: float) -> None:
        """Count one."""
        self.outcomes[outcome] += 1
        self.waits.setdefault(outcome, []).append(seconds)

    def p99(self, outcome: str) -> float | None:
        """Return the 99th percentile of the times until such an answer."""
        waits = sorted(self.waits.get(outcome, ()))
        return percentile(waits, 0.99) if waits else None


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request under way at most."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._due: float | None = None
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes, due: float) -> None:
        """Send a request that was due then."""
        self._due, self._head, self._left = due, b"", -1
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read on until the answer is complete."""
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = LENGTH.search(self._head, 0, end)
            self._left = (int(length[1]) if length else 0) - (len(self._head) - end - 4)
        else:
            self._left -= len(data)
        if self._left <= 0 and self._due is not None:
            due, self._due = self._due, None
            self._client.answered(self, self._head[9:12].decode(), due)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Count what will not be answered any more."""
        self._client.lost(self, self._due)

    def close(self) -> None:
        """Close it."""
        self._transport.abort()


class Client:
    """The connections of one address."""

    def __init__(self, address: str, server: tuple[str, int], chosen: "Requests") -> None:
        self._address = address
        self._server = server
        self._chosen = chosen
        self._free: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening = 0
        self.tally = Tally()
        self.repeats = False  # closed loop: each answer is followed by the next request

    @property
    def under_way(self) -> int:
        """How many requests have no answer yet."""
        return len(self._all) + self._opening - len(self._free)

    async def open(self) -> Connection:
        """Open one more connection."""
        self._opening += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), *self._server, local_addr=(self._address, 0)
            )
        finally:
            self._opening -= 1
        self._all.add(connection)
        return connection

    def send(self, due: float) -> Coroutine[Any, Any, None] | None:
        """Send a request over a connection that is free; otherwise return what sends it over a new one."""
        if self._free:
            self._free.popleft().send(self._chosen.next(), due)
        elif len(self._all) + self._opening >= MOST_CONNECTIONS:
            self.tally.note("unsent", 0.0)
        else:
            return self._send_over_new(due)
        return None

    async def _send_over_new(self, due: float) -> None:
        try:
            connection = await self.open()
        except OSError:
            self.tally.note("refused connection", 0.0)
        else:
            connection.send(self._chosen.next(), due)

    def answered(self, connection: Connection, status: str, due: float) -> None:
        """Count an answer, and use the connection again."""
        now = perf_counter()
        self.tally.note("good" if status in ("200", "201") else status, now - due)
        if self.repeats:
            connection.send(self._chosen.next(), now)
        else:
            self._free.append(connection)

    def lost(self, connection: Connection, due: float | None) -> None:
        """Forget the connection."""
        self._all.discard(connection)
        if due is not None:
            self.tally.note("lost", perf_counter() - due)
        else:
            self._free = deque(each for each in self._free if each is not connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._all):
            connection.close()


_FIRST = datetime(2001, 1, 1, tzinfo=UTC)


class Requests(Protocol):
    """Chooses what is sent."""

    def next(self) -> bytes:
        """Choose a request."""


class Counts:
    """Each counts all orders, but for no other of them at the same time: this costs MongoDB more than the gateway."""

    def __init__(self) -> None:
        self._numbers = count()

    def next(self) -> bytes:
        """Choose one."""
        since = _FIRST + timedelta(milliseconds=next(self._numbers))
        return request("GET", f"/api/orders?limit=1&count=true&updated_since={since:%Y-%m-%dT%H:%M:%S.%fZ}")


class Mixed:
    """Most read one order, some a page somewhere in the list, some write: this costs the gateway more than MongoDB."""

    def __init__(self, orders: list[str]) -> None:
        self._ones = [request("GET", f"/api/orders/{order}") for order in orders]
        self._lists = [request("GET", f"/api/orders?limit=50&after={order}") for order in orders]
        self._post = request("POST", "/api/orders", BODY)
        self._random = random.Random(1)

    def next(self) -> bytes:
        """Choose one."""
        kind = self._random.random()
        if kind < 0.6:
            return self._random.choice(self._ones)
        return self._random.choice(self._lists) if kind < 0.9 else self._post


class Offered:
    """The clients, and the load that they offer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = parts.hostname or "", parts.port or 80

    async def prepare(self, load: str) -> None:
        """Create the orders that are asked for."""
        if load == "counts":
            self._requests: Requests = Counts()
            return
        reader, writer = await asyncio.open_connection(*self._server)
        orders = []
        for _ in range(ORDERS):
            writer.write(request("POST", "/api/orders", BODY))
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            orders.append(json.loads(await reader.readexactly(int(length[1]) if length else 0))["_id"])
        writer.close()
        self._requests = Mixed(orders)

    async def repeat(self, connections: int, seconds: float) -> dict[str, Any]:
        """Send the next request on each connection once the one before is answered: the peak of what is answered."""
        clients = self._clients()
        for client in clients:
            client.repeats = True
            for _ in range(connections):
                (await client.open()).send(self._requests.next(), perf_counter())
        await asyncio.sleep(seconds)
        return self._told(clients, seconds)

    async def offer(self, rate: float, seconds: float) -> dict[str, Any]:
        """Send so many requests a second, all addresses in turn."""
        clients = self._clients()
        began, cpu = perf_counter(), process_time()
        sent, tasks = 0, set[asyncio.Task[None]]()
        gaps, last = [], began
        while (now := perf_counter()) < began + seconds:
            gaps.append(now - last)
            last = now
            while sent < (now - began) * rate:
                opening = clients[sent % len(clients)].send(began + sent / rate)
                if opening is not None:
                    task = asyncio.create_task(opening)
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                sent += 1
            await asyncio.sleep(TICK)
        for _ in range(int(DRAIN_SECONDS / TICK)):
            if not any(client.under_way for client in clients):
                break
            await asyncio.sleep(TICK)
        took = perf_counter() - began
        own = {"gap_p99": percentile(sorted(gaps), 0.99), "took": took, "cpu": (process_time() - cpu) / took}
        return {**self._told(clients, seconds), "offered": sent / seconds, **own}

    def _clients(self) -> list[Client]:
        return [Client(address, self._server, self._requests) for address in ADDRESSES]

    @staticmethod
    def _told(clients: list[Client], seconds: float) -> dict[str, Any]:
        whole = Tally()
        for client in clients:
            client.repeats = False
            unanswered = client.under_way
            whole.outcomes.update(client.tally.outcomes)
            for outcome, waits in client.tally.waits.items():
                whole.waits.setdefault(outcome, []).extend(waits)
            whole.outcomes["unanswered"] += unanswered
            client.close()
        outcomes = {outcome: count / seconds for outcome, count in whole.outcomes.items()}
        return {"outcomes": outcomes, "good_p99": whole.p99("good"), "refused_p99": whole.p99("503")}


if __name__ == "__main__":
    serve(Offered(sys.argv[1]))
