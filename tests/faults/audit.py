"""One audit: a running stack with writers and clients, the faults injected into it, and the judgement at the end."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pymongo.errors import PyMongoError

from tests.access.tokens import bearer, token
from tests.faults.checker import Breach, Case, Finding, judge
from tests.faults.crowd import CUSTOMERS, SMALL, Crowd, Population, crowd
from tests.faults.order import STATUSES, Content, Wanted
from tests.faults.stack import Shape, Stack
from tests.faults.witness import Witness
from tests.faults.writers import Writers, writers
from tests.waiting import cancel_all

# Poll interval of all clients' records; recovery times are as exact as this.
_LOOK = 0.02
# One order for every customer, and for the last of them one of every status.
_KINDS = [Content(customer, 0, STATUSES[0]) for customer in CUSTOMERS]
_KINDS += [Content(CUSTOMERS[-1], 0, status) for status in STATUSES[1:]]
# The most time that the last changes may take to reach all clients, after the faults are over.
_SETTLING = 20.0


@dataclass(frozen=True, slots=True)
class Load:
    """The rate of the writes, and the clients."""

    writes_per_second: float = 500.0
    clients: Population = field(default_factory=Population)


# For a busy machine, and for `make test`.
QUICK = Load(writes_per_second=150.0, clients=SMALL)


@dataclass(frozen=True, slots=True)
class Recovery:
    """The time from the fault, or from its end, until a later write had reached every client."""

    fault: str
    seconds: float
    within: float | None  # the promise, where there is one
    usual: float  # the same while nothing is broken: a client's next order has to be written first


@dataclass(slots=True)
class Expected:
    """The effects that a scenario's faults explain. Scenarios add to it."""

    allowed_resyncs: set[str] = field(default_factory=set)
    required_resyncs: set[str] = field(default_factory=set)  # each client must get at least one of them
    refetch: bool = False
    crashes: set[str] = field(default_factory=set)  # processes that end by themselves


@dataclass(slots=True)
class Audit:
    """The tools of a scenario."""

    stack: Stack
    writers: Writers
    crowd: Crowd
    witness: Witness
    rng: random.Random
    expected: Expected = field(default_factory=Expected)
    recoveries: list[Recovery] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    faults: int = 0
    usual: float = 0.0

    async def warm_up(self) -> None:
        """Run the load, and measure how long a write takes to reach all clients while nothing is broken."""
        await self.run_for(2.0)
        self.usual = await self._seen_by_all("nothing", patience=30.0)

    async def run_for(self, seconds: float) -> None:
        """Keep the load running for so long."""
        await asyncio.sleep(seconds)

    def injected(self, times: int = 1) -> None:
        """Count an injected fault."""
        self.faults += times

    async def expect_recovery(self, fault: str, within: float | None = None, patience: float = 30.0) -> float:
        """Wait until a write that begins now or later has reached every client; record how long that took."""
        seconds = await self._seen_by_all(fault, patience)
        self.recoveries.append(Recovery(fault, seconds, within, self.usual))
        if within is not None and seconds > within + self.usual:
            what = f"{fault}: recovered after {seconds:.1f} s, promised {within:.1f} s (usual {self.usual:.1f} s)"
            self.findings.append(Finding(Breach.SLOW, "stack", what))
        return seconds

    async def _seen_by_all(self, fault: str, patience: float) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        stamp = self.writers.ledger.last
        # Some may see nothing at all.
        waiting = [each for each in self.crowd.viewers if any(map(each.record.wanted.fits, _KINDS))]
        # So that no client has to wait for a random write to match its filter.
        matching_writes = asyncio.create_task(self._write_for_each_filter())
        while waiting:
            waiting = [viewer for viewer in waiting if not viewer.connected or viewer.record.newest <= stamp]
            if waiting and loop.time() - began > patience:
                names = ", ".join(viewer.record.name for viewer in waiting[:5])
                what = f"{fault}: after {patience:.0f} s, {len(waiting)} clients still saw nothing new: {names}"
                self.findings.append(Finding(Breach.SERVICE, "stack", what))
                break
            await asyncio.sleep(_LOOK)
        seconds = loop.time() - began
        await cancel_all(matching_writes)
        return seconds

    def report(self, what: str) -> None:
        """Record a fault that the scenario itself has found."""
        self.findings.append(Finding(Breach.SERVICE, "scenario", what))

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, patience: float = 20.0) -> None:
        """Wait until a condition holds; report if it never does."""
        try:
            async with asyncio.timeout(patience):
                while not await condition():  # noqa: ASYNC110 - another process has to be polled
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.report(f"not true within {patience:.0f} s: {what}")

    async def settle(self) -> None:
        """Stop the writers and wait until every client has been shown the end of the history."""
        await self.writers.pause()
        last = await self._last_orders()
        loop = asyncio.get_running_loop()
        began = loop.time()
        records = [record for record in self.crowd.records if record.wanted in last]
        while records and loop.time() - began < _SETTLING:
            records = [record for record in records if not record.has(last[record.wanted])]
            await asyncio.sleep(_LOOK)
        await asyncio.sleep(0.3)  # for events that should not come

    async def _write_for_each_filter(self) -> None:
        """Write an order for every filter, all at once: where the set commits slowly, they must not wait in a row."""
        await asyncio.gather(*(self._insert(kind) for kind in _KINDS))

    async def _last_orders(self) -> dict[Wanted, str]:
        """Write an order for every filter, one after the other; return which of them each filter sees last."""
        last: dict[Wanted, str] = {}
        for kind in _KINDS:
            order = await self._insert(kind)
            last |= {wanted: order for wanted in self.crowd.wanted if wanted.fits(kind)}
        return last

    async def _insert(self, kind: Content) -> str:
        async with asyncio.timeout(30):
            while True:
                try:
                    return str(await self.writers.insert(kind.customer, kind.status))
                except PyMongoError:
                    await asyncio.sleep(0.2)

    async def judge(self) -> list[Finding]:
        """Read the history and compare it with what every client was shown."""
        await self.witness.read()
        case = Case(
            truth=self.witness.changes,
            database=await self.witness.database(),
            ledger=self.writers.ledger,
            records=self.crowd.records,
            allowed_resyncs=frozenset(self.expected.allowed_resyncs | self.expected.required_resyncs),
            required_resyncs=frozenset(self.expected.required_resyncs),
            refetch=self.expected.refetch,
        )
        return [*self.findings, *self._processes(), *await asyncio.to_thread(judge, case)]

    def _processes(self) -> list[Finding]:
        """Find services that ended by themselves or logged a traceback."""
        found = []
        for service in [*self.stack.watchers, *self.stack.gateways]:
            who = f"{service.name} {service.port}"
            if not service.running and service.name not in self.expected.crashes:
                found.append(Finding(Breach.SERVICE, who, service.exit_reason()))
            found += [Finding(Breach.SERVICE, who, f"in its log: {text}") for text in _tracebacks(service.output)]
        return found


def _tracebacks(log: str) -> list[str]:
    """Return the end of each traceback in a log, except the driver's: its background tasks fail and go on."""
    lines = [line for line in log.splitlines() if "MongoClient background task" not in line]
    pieces = "\n".join(lines).split("Traceback (most recent call last)")[1:]
    return [piece.partition("\n{")[0][-500:] for piece in pieces[-3:]]


@asynccontextmanager
async def audit(folder: Path, shape: Shape, load: Load, rng: random.Random) -> AsyncIterator[Audit]:
    """Run a stack under load, with all clients connected."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(Stack(folder, shape))
        witness = await exits.enter_async_context(Witness(stack.mongodb_uri))
        headers = bearer(token("writers", rights="*")) if shape.jwt else {}
        writing = writers(stack.mongodb_uri, stack.urls, load.writes_per_second, rng, headers)
        all_writers = await exits.enter_async_context(writing)
        everyone = await exits.enter_async_context(crowd(stack.urls, load.clients, rng, jwt=shape.jwt))
        async with asyncio.timeout(30):
            while everyone.unconnected():  # noqa: ASYNC110 - as exact as a recovery time is
                await asyncio.sleep(_LOOK)
        yield Audit(stack, all_writers, everyone, witness, rng)
