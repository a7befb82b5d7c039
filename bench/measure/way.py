"""Where a change spends its time between MongoDB and the client."""

from collections.abc import Sequence
from statistics import median

from bench.contestants import OURS
from bench.dialogue import Dialogue, module
from bench.measure.hops import websocket_hop
from bench.plan import Plan
from bench.report.section import Section
from bench.rounds import alternate
from bench.stage import Stage

COUNT = 400
RATE = 100.0
NOTES = [
    f"""One client, {RATE:.0f} writes a second, as above, but with a witness that runs beside the services: it reads the
change stream over a connection like the watcher's, and the channel in Redis like a gateway. The times are medians of
each step: *change stream*, from the acknowledgement until the change has been read; *publish*, until a subscriber of
Redis can read it: the watcher's work, and Redis's; *feed*, until the gateway begins to write; and *write*, one small
frame from one process to another, which was measured by itself and subtracted from the feed. The witness is one more
reader for MongoDB and Redis, and medians do not add up exactly.""",
]


async def measure(stage: Stage, plan: Plan) -> Section:
    """Follow changes from the acknowledgement to the client."""
    [rounds] = await alternate([OURS.name], plan.rounds, lambda _: _hops(stage), plan.progress)
    rows = [[hop, f"{median(hops[hop] for hops in rounds) * 1000:,.2f} ms"] for hop in rounds[0]]
    return Section(title="The hops of a change", notes=NOTES, headers=("hop", "p50"), rows=rows)


async def _hops(stage: Stage) -> dict[str, float]:
    """Return the median of each hop in seconds."""
    write = await websocket_hop()
    command = module("bench.load.witness", stage.mongodb_uri, stage.redis_url)
    async with stage.running(OURS) as running, Dialogue(command, pinned=False) as witness:
        await stage.listener.ask(do="open", url=running.url, count=1, protocol=OURS.protocols["websocket"])
        await stage.listener.ask(do="begin", timing=True)
        await witness.ask(do="open")
        acknowledged = (await stage.writer.ask(count=COUNT, rate=RATE))["acknowledged"]
        await stage.listener.ask(do="complete", events=COUNT)
        at = await witness.ask(do="read", count=COUNT)

        async def until_the_client(since: Sequence[tuple[int, int, float]]) -> float:
            return float((await stage.listener.ask(do="latency", acknowledged=since))["p50"])

        on_channel = [(writer, number, at["channel"][number]) for writer, number, _ in acknowledged]
        return {
            f"change stream, {at['cursor']} cursor": median(
                read - ack for read, (_, _, ack) in zip(at["stream"], acknowledged, strict=True)
            ),
            "publish": median(there - read for there, read in zip(at["channel"], at["stream"], strict=True)),
            "feed": await until_the_client(on_channel) - write,
            "write": write,
            "in all": await until_the_client(acknowledged),
        }
