"""The minimum time of each step from MongoDB to a client on this machine, with nothing of ours in between."""

from dataclasses import dataclass
from statistics import median

from bench.dialogue import Dialogue, module
from bench.stage import Stage

COUNT = 300
RATE = 100.0


@dataclass(frozen=True)
class Hops:
    """Medians in seconds."""

    change_stream: float  # from the acknowledgement to the reader of the change stream
    redis: float  # from before the script call to the subscriber
    websocket: float  # from before the write to the reader

    @property
    def after_change_stream(self) -> float:
        return self.redis + self.websocket


async def hops(stage: Stage) -> Hops:
    """Measure all three, each between processes of its own."""
    return Hops(
        await _change_stream(stage),
        await _pair("bench.load.bare_redis", stage.redis_url, pinned=stage.pinned),
        await websocket_hop(),
    )


async def websocket_hop() -> float:
    """Measure one small frame from one process to another."""
    return await _pair("bench.load.bare_websocket", pinned=True)


async def _change_stream(stage: Stage) -> float:
    async with Dialogue(module("bench.load.bare_stream", stage.mongodb_uri), pinned=stage.pinned) as reader:
        await reader.ask(do="open")
        written = await stage.writer.ask(count=COUNT, rate=RATE)
        arrived: list[float] = (await reader.ask(do="read", count=COUNT))["arrived"]
    acknowledged: list[float] = [at for _, _, at in written["acknowledged"]]
    return median(there - then for there, then in zip(arrived, acknowledged, strict=True))


async def _pair(name: str, *arguments: str, pinned: bool) -> float:
    """Let one process send and the same program in another one receive, as the server and its clients do."""
    command = module(name, *arguments)
    async with (
        Dialogue(command, pinned=pinned) as receiver,
        Dialogue(command, pinned=pinned, server=True) as sender,
    ):
        address = await receiver.ask(do="listen")
        await sender.ask(do="prepare", port=address.get("port"))
        sent: list[float] = (await sender.ask(do="send", count=COUNT, rate=RATE))["sent"]
        arrived: list[float] = (await receiver.ask(do="receive", count=COUNT))["arrived"]
    return median(there - then for then, there in zip(sent, arrived, strict=True))
