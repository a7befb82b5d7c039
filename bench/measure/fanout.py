"""How much CPU time it costs to bring one event to one client."""

from dataclasses import dataclass
from time import perf_counter

from bench.contestants import Contestant
from bench.cpu import cpu_seconds
from bench.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Load:
    """How many clients there are, and what is written: ``events`` orders, in bursts, ``rate`` orders a second."""

    transport: str
    clients: int
    events: int
    rate: float
    burst: int = 1

    @property
    def title(self) -> str:
        what = "single events" if self.burst == 1 else f"bursts of {self.burst}"
        return f"{self.transport}, {self.clients:,} clients, {what}"


@dataclass(frozen=True)
class Result:
    """CPU seconds are per delivery: of the process with the clients, and of all of the contestant's processes."""

    server: float
    all_processes: float
    deliveries_per_second: float
    busy: float  # share of one core that the server used


async def fanout(stage: Stage, contestant: Contestant, load: Load) -> Result:
    """Measure one contestant once."""
    async with stage.running(contestant) as running:
        protocol = contestant.protocols[load.transport]
        await stage.listener.ask(do="open", url=running.url, count=load.clients, protocol=protocol)
        await _write(stage, load, events=max(50, load.burst * 3))  # the first are dearer: caches, just-in-time code
        pids = [running.server, *running.others]
        before, server, started = cpu_seconds(pids), cpu_seconds([running.server]), perf_counter()
        finished = await _write(stage, load, events=load.events)
        spent, server = cpu_seconds(pids) - before, cpu_seconds([running.server]) - server
    deliveries, seconds = load.clients * load.events, finished - started
    return Result(server / deliveries, spent / deliveries, deliveries / seconds, server / seconds)


async def _write(stage: Stage, load: Load, *, events: int) -> float:
    await stage.listener.ask(do="begin")
    await stage.writer.ask(count=events, rate=load.rate, burst=load.burst)
    finished: float = (await stage.listener.ask(do="complete", events=events))["finished"]
    return finished
