"""All clients of an audit: of every kind, with and without filters, some of them hopping between gateways."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.faults.order import STATUSES, Wanted
from tests.faults.record import Record
from tests.faults.viewers.polling import PollingViewer
from tests.faults.viewers.sse import SseViewer
from tests.faults.viewers.stock import Node, StockViewer, stock_clients_missing
from tests.faults.viewers.viewer import Viewer
from tests.faults.viewers.websocket import WebSocketViewer

CUSTOMERS = tuple(f"Customer {number:02d}" for number in range(16))
# A client that gets nothing for so long considers its connection dead; the gateways of an audit ping often.
SILENCE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Population:
    """How many clients of each kind; of forty, one wants everything, one a status, the others a customer."""

    websocket: int = 110
    sse: int = 80
    polling: int = 12
    stock: int = 6
    hops_per_second: float = 4.0

    @property
    def size(self) -> int:
        return self.websocket + self.sse + self.polling + self.stock


SMALL = Population(websocket=24, sse=20, polling=4, stock=2, hops_per_second=2.0)


class Crowd:
    """The clients while they run."""

    def __init__(self, viewers: Sequence[Viewer], population: Population, rng: random.Random) -> None:
        self.viewers = viewers
        self._hops_per_second = population.hops_per_second
        self._rng = rng

    @property
    def records(self) -> list[Record]:
        return [viewer.record for viewer in self.viewers]

    @property
    def wanted(self) -> set[Wanted]:
        """All filters that are in use."""
        return {record.wanted for record in self.records}

    def unconnected(self) -> list[str]:
        """Name the clients that are not connected, or have no list yet."""
        return [
            viewer.record.name for viewer in self.viewers if not viewer.connected or viewer.record.now.start is None
        ]

    async def hop_always(self) -> None:
        """Move one client after the other to another gateway."""
        if not self._hops_per_second:
            return
        movers = [viewer for viewer in self.viewers if self._rng.random() < 0.4]
        while movers:
            await asyncio.sleep(self._rng.expovariate(self._hops_per_second))
            self._rng.choice(movers).move()

    async def drop_silent_always(self) -> None:
        """Cut connections that have gone silent, as clients with a heartbeat do."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(0.5)
            for viewer in self.viewers:
                if now() - viewer.quiet_since > SILENCE_SECONDS:
                    viewer.drop()


@asynccontextmanager
async def crowd(
    gateways: Sequence[str], population: Population, rng: random.Random, *, jwt: bool
) -> AsyncIterator[Crowd]:
    """Run the clients meanwhile; with ``jwt`` each has a token."""
    timeout = aiohttp.ClientTimeout(total=6)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=32))
        )
        viewers = list(_viewers(gateways, population, session, rng, _restricted if jwt else _wanted))
        everyone = Crowd(viewers, population, rng)
        stock = [viewer for viewer in viewers if isinstance(viewer, StockViewer)]
        if stock:
            await stack.enter_async_context(Node(stock))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(viewer.run()) for viewer in viewers]
            tasks += [group.create_task(everyone.hop_always()), group.create_task(everyone.drop_silent_always())]
            yield everyone
            for task in tasks:
                task.cancel()


def _viewers(
    gateways: Sequence[str],
    population: Population,
    session: aiohttp.ClientSession,
    rng: random.Random,
    wanted: Callable[[int, random.Random], Wanted],
) -> Iterator[Viewer]:
    for number in range(population.websocket):
        yield WebSocketViewer(f"w{number}", wanted(number, rng), gateways, session, rng)
    for number in range(population.sse):
        yield SseViewer(f"s{number}", wanted(number, rng), gateways, session, rng)
    for number in range(population.polling):
        yield PollingViewer(f"p{number}", wanted(number, rng), gateways, session, rng)
    for number in range(population.stock if stock_clients_missing() is None else 0):
        transports = (["websocket"], ["polling", "websocket"], ["polling"])[number % 3]
        yield StockViewer(f"j{number}", wanted(number, rng), gateways, session, rng, transports)


def _wanted(number: int, rng: random.Random) -> Wanted:
    match number % 40:
        case 0:
            return Wanted()
        case 20:
            return Wanted(status=rng.choice(STATUSES))
        case _:
            return Wanted(customer=rng.choice(CUSTOMERS))


def _restricted(number: int, rng: random.Random) -> Wanted:
    """Return a client's filter and its rights: most ask for more than they may see."""
    one, other = rng.sample(CUSTOMERS, 2)
    match number % 20:
        case 0:
            return Wanted(customer=rng.choice([one, None]), rights=(Wanted(),))
        case 1:
            return Wanted(rights=(Wanted(status=rng.choice(STATUSES)),))
        case 2:
            return Wanted(rights=())
        case 3:
            return Wanted(customer=one, rights=(Wanted(customer=other),))
        case 4 | 5:
            return Wanted(rights=(Wanted(customer=one), Wanted(customer=other, status=STATUSES[0])))
        case 6 | 7:
            return Wanted(status=STATUSES[0], rights=(Wanted(customer=one),))
        case _:
            return Wanted(rights=(Wanted(customer=one),))
