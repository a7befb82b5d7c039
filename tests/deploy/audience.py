"""Clients of every transport on one address: the events of each, and what is wrong with them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from services.common.cursor import Cursor
from tests.waiting import HANGS, cancel_all, patient_clock

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("audience.mjs")

# Names of clients and their transports; a client with both begins with polling and upgrades, as browsers do.
EVERY_TRANSPORT: Mapping[str, Sequence[str]] = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
    "sse": ["sse"],
}


@dataclass
class Heard:
    """The events of one client."""

    changes: list[tuple[str, Cursor]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    resyncs: list[str] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # when its connections ended
    lost_at: float | None = None

    @property
    def servers(self) -> list[str]:
        """Which gateways it was connected to, one after the other."""
        return [connection["server"] for connection in self.connections]

    def take(self, what: str, line: dict[str, Any], now: float) -> None:
        match what:
            case "change":
                self.changes.append((line["id"], Cursor.parse(line["cursor"])))
            case "connected":
                self.connections.append(line)
                if self.lost_at is not None:
                    self.outages.append(now - self.lost_at)
                    self.lost_at = None
            case "disconnected":
                if self.lost_at is None:
                    self.lost_at = now
                    self.losses.append(now)
            case "upgraded":
                self.connections[-1]["transport"] = line["transport"]
            case "resync":
                self.resyncs.append(line["reason"])


@dataclass(frozen=True)
class Tally:
    """What became of the events of all clients together."""

    events: int
    lost: int
    doubled: int
    reordered: int
    resyncs: tuple[str, ...]


class Audience:
    """All clients of one test."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.heard: dict[str, Heard] = defaultdict(Heard)
        self._clock = clock
        self._news = asyncio.Condition()

    async def take(self, client: str, what: str, line: dict[str, Any]) -> None:
        async with self._news:
            self.heard[client].take(what, line, self._clock())
            self._news.notify_all()

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until a condition on the events holds; fail where it never does, and name what is missing."""
        try:
            async with asyncio.timeout(HANGS), self._news:
                await self._news.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"not within {HANGS:g} s: {what}; {self.summary()}") from None

    async def until_all_have(self, ids: Iterable[str]) -> None:
        """Wait until every client has events of all these orders."""
        wanted = set(ids)

        def complete() -> bool:
            return all(wanted <= {order for order, _ in one.changes} for one in self.heard.values())

        await self.until(complete, f"all clients are told of {len(wanted)} orders")

    def faults(self, ids: Iterable[str]) -> list[str]:
        """Return what is wrong: each of these orders was created once, and every client must have got it once."""
        found = []
        for name, heard in self.heard.items():
            told = [order for order, _ in heard.changes]
            cursors = [cursor for _, cursor in heard.changes]
            found += [f"{name}: {order} told {told.count(order)} times" for order in ids if told.count(order) != 1]
            if len(told) != len(set(cursors)):
                found.append(f"{name}: a change came twice")
            if cursors != sorted(cursors, key=lambda cursor: cursor.position):
                found.append(f"{name}: out of order")
            found += [f"{name}: resync ({reason})" for reason in heard.resyncs]
        return found

    def tally(self, ids: Iterable[str]) -> Tally:
        """Count the events, and those that are wrong: each of these orders was created once and never changed."""
        wanted = set(ids)
        events = lost = doubled = reordered = 0
        resyncs: list[str] = []
        for heard in self.heard.values():
            positions = [cursor.position for _, cursor in heard.changes]
            events += len(positions)
            lost += len(wanted - {order for order, _ in heard.changes})
            doubled += len(positions) - len(set(positions))
            reordered += sum(later < earlier for earlier, later in pairwise(positions))
            resyncs += heard.resyncs
        return Tally(events, lost, doubled, reordered, tuple(resyncs))

    def summary(self) -> dict[str, Any]:
        """Return a summary for each client, to be shown when a test fails."""
        return {
            name: {
                "changes": len(heard.changes),
                "servers": heard.servers,
                "resyncs": heard.resyncs,
                "outages": [round(seconds, 2) for seconds in heard.outages],
            }
            for name, heard in self.heard.items()
        }


@asynccontextmanager
async def audience(url: str, clients: Mapping[str, Sequence[str]] = EVERY_TRANSPORT) -> AsyncIterator[Audience]:
    """Connect the clients, yield their events, and disconnect them; all are connected when it begins."""
    async with patient_clock() as clock, _connected(url, clients, Audience(clock)) as crowd:
        yield crowd


@asynccontextmanager
async def _connected(url: str, clients: Mapping[str, Sequence[str]], crowd: Audience) -> AsyncIterator[Audience]:
    sockets = {name: transports for name, transports in clients.items() if transports != ["sse"]}
    tasks = [asyncio.create_task(_listen_to_events(url, name, crowd)) for name in clients if name not in sockets]
    node = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), url, json.dumps(sockets)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    tasks.append(asyncio.create_task(_listen_to_node(node, crowd)))
    try:
        await crowd.until(lambda: all(crowd.heard[name].connections for name in clients), "all clients are connected")
        yield crowd
    finally:
        await cancel_all(*tasks)
        if node.returncode is None:
            node.kill()
        await node.communicate()


async def _listen_to_node(node: asyncio.subprocess.Process, crowd: Audience) -> None:
    assert node.stdout is not None
    async for raw in node.stdout:
        line = json.loads(raw)
        await crowd.take(line["client"], line["what"], line)


async def _listen_to_events(url: str, name: str, crowd: Audience) -> None:
    """Act as a browser's EventSource: reconnect after `retry` with the last id."""
    last, retry = "", 1.0
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            try:
                headers = {"Last-Event-ID": last} if last else {}
                async with session.get(f"{url}/api/orders/events", headers=headers) as response:
                    fields: dict[str, str] = {}
                    async for raw in response.content if response.status == 200 else _nothing():
                        key, _, value = raw.decode().rstrip("\n").partition(": ")
                        if key:
                            fields[key] = value
                            continue
                        last = fields.get("id", last)
                        retry = float(fields.get("retry", retry * 1000)) / 1000
                        if "data" in fields:
                            line = json.loads(fields["data"])
                            what = "change" if fields["event"] == "orderUpdate" else fields["event"]
                            await crowd.take(name, what, {**line, "transport": "sse"})
                        fields = {}
            except (aiohttp.ClientError, OSError):
                pass
            await crowd.take(name, "disconnected", {})
            await asyncio.sleep(retry)


async def _nothing() -> AsyncIterator[bytes]:
    for line in list[bytes]():
        yield line
