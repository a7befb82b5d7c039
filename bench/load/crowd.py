"""Many clients in one process: opens them, waits for their progress, closes them."""

import asyncio
import re
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.load.client import Client
from bench.load.greetings import Greeting
from bench.load.reference import Reference

AT_ONCE = 500  # clients that are opened concurrently
TIMED = 100  # clients whose deliveries are timed
OFFSET = re.compile(rb',"([^"]+)"\]')  # the last argument of an event: what a client recovers with


class Session(NamedTuple):
    """The session and offset that a cut-off client reconnects with, and how far it had read."""

    pid: str
    offset: str
    at: int


class Crowd:
    """The clients of one server, which connect from the address ``source`` if one is given."""

    def __init__(self, url: str, source: str | None = None) -> None:
        parts = urlsplit(url)
        self._source = None if source is None else (source, 0)
        self._address = parts.hostname or "127.0.0.1", parts.port or 80
        self.clients: list[Client] = []
        self.references: dict[str, Reference] = {}

    async def open(self, greetings: Sequence[Greeting], groups: Sequence[str], at: int = 0) -> None:
        """Open a client per greeting, each in its group, and return when all have been greeted; all begin at ``at``."""
        room = asyncio.Semaphore(AT_ONCE)
        for group in groups:
            self.references.setdefault(group, Reference())
        both = zip(greetings, groups, strict=True)
        await asyncio.gather(*[self._open(greeting, self.references[group], at, room) for greeting, group in both])

    async def _open(self, greeting: Greeting, reference: Reference, at: int, room: asyncio.Semaphore) -> None:
        done = asyncio.Event()
        client = Client(greeting, reference, at, lambda _: done.set())
        async with room:
            await asyncio.get_running_loop().create_connection(lambda: client, *self._address, local_addr=self._source)
            async with asyncio.timeout(60):
                await done.wait()
        if client.lost:
            raise RuntimeError("a connection was closed before it was greeted")
        self.clients.append(client)

    def begin(self, *, timing: bool, stalled: int = 0) -> None:
        """Forget the events so far, of which all clients must have got all; the first ``stalled`` now stop reading.

        Where ``timing``, a hundred evenly chosen clients are timed: timing makes them more expensive to read.
        """
        for reference in self.references.values():
            reference.__init__()  # type: ignore[misc]
        step = max(1, len(self.clients) // TIMED)
        for number, client in enumerate(self.clients):
            client.begin(timing=timing and number % step == 0)
        for client in self.clients[:stalled]:
            client.stop_reading()

    def acknowledge_when_read(self) -> None:
        """From now on, acknowledge data only when it is read."""
        for client in self.clients:
            client.acknowledge_when_read()

    async def complete(self, events: int, seconds: float, *, without: int = 0, groups: int | None = None) -> float:
        """Wait until every client but the first ``without`` has got ``events`` events of its group; return when.

        With ``groups``, events are expected in the first so many of them.
        """
        until = perf_counter() + seconds
        watched = self.clients[without:]
        expected = [*self.references.values()][:groups]
        while True:
            now = perf_counter()
            if all(reference.count() >= events for reference in expected) and not behind(watched):
                return now
            if now > until:
                counts = sorted(reference.count() for reference in expected)
                raise RuntimeError(
                    f"events missing: {counts[0]} to {counts[-1]} of {events}, {len(behind(watched))} clients behind"
                )
            await asyncio.sleep(0.05)

    def verify(self, events: int, *, groups: int | None = None) -> None:
        """Check that every client got each event once and in order, and nothing else."""
        for number, reference in enumerate(self.references.values()):
            due = events if groups is None or number < groups else 0
            if reference.count() != due or len(reference.positions()) != due:
                raise RuntimeError(f"{reference.count()} events came, {due} were written")
            if fault := reference.fault():
                raise RuntimeError(fault)
        if unexpected := [client.unexpected for client in self.clients if client.unexpected]:
            raise RuntimeError(f"{len(unexpected)} clients got unexpected bytes, one of them {unexpected[0]!r}")
        if lost := sum(client.lost for client in self.clients):
            raise RuntimeError(f"{lost} connections were closed")

    def leave(self) -> list[Session]:
        """Cut all connections, and return what each client needs to recover."""
        offset = OFFSET.findall(self.references[""].data)[-1].decode()
        sessions = [Session(client.greeting.pid, offset, client.at) for client in self.clients]
        for client in self.clients:
            client.abort()
        self.clients.clear()
        return sessions

    def close(self) -> None:
        for client in self.clients:
            client.abort()
        self.clients.clear()
        self.references.clear()


def behind(clients: Sequence[Client]) -> list[Client]:
    return [client for client in clients if client.at < len(client.reference.data)]
