"""The environment of every measure: a real MongoDB, a real Redis, a listening and a writing process."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench import cores
from bench.contestants import Contestant, Running
from bench.dialogue import Dialogue, module
from services.commands.setup_db import setup
from services.embedded import ports
from services.embedded.mongod import Mongod
from services.embedded.valkey import Valkey

DATABASE = "bench_orders"


@dataclass(frozen=True)
class Stage:
    """The servers' addresses and the two processes that generate the load."""

    mongodb_uri: str
    redis_url: str
    folder: Path
    listener: Dialogue
    writer: Dialogue
    pinned: bool
    mongod: int | None = None  # the process id, if we started it
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def new_folder(self, name: str) -> Path:
        """Make a folder for one run of something."""
        folder = self.folder / f"{next(self._numbers)}-{name}"
        folder.mkdir(parents=True)
        return folder

    @asynccontextmanager
    async def running(self, contestant: Contestant) -> AsyncIterator[Running]:
        """Run the contestant meanwhile, in a folder of its own."""
        folder = self.new_folder(contestant.name)
        async with contestant.running(self.mongodb_uri, self.redis_url, folder, pinned=self.pinned) as running:
            try:
                yield running
            finally:
                await self.listener.ask(do="close")


@asynccontextmanager
async def stage(folder: Path, *, pinned: bool = True) -> AsyncIterator[Stage]:
    """Start everything, or use the servers that BENCH_MONGODB_URI (with a database) and BENCH_REDIS_URL name.

    The server under test and its clients run on different cores, as if on machines of their own: left to itself, Linux
    often wakes the clients on the core of the server that is busy sending to them, while another core is idle. Where
    ``pinned``, everything else is kept off the server's core too, so that it does not distort the server's CPU time;
    where wall-clock times are measured, the system chooses for the others.
    """
    async with AsyncExitStack() as stack:
        mongodb, mongod = await _mongodb(stack, folder, pinned=pinned)
        redis = await _redis(stack, folder, pinned=pinned)
        for _ in setup(mongodb):
            pass
        listener = await stack.enter_async_context(Dialogue(module("bench.load")))
        writer = await stack.enter_async_context(Dialogue(module("bench.load.writer", mongodb), pinned=pinned))
        yield Stage(mongodb, redis, folder, listener, writer, pinned, mongod)


async def _mongodb(stack: AsyncExitStack, folder: Path, *, pinned: bool) -> tuple[str, int | None]:
    if given := os.environ.get("BENCH_MONGODB_URI"):
        return given, None
    arguments = ("--oplogSize", "512")
    server = Mongod(folder=folder / "mongodb", port=ports.free_port(), arguments=arguments)
    await stack.enter_async_context(server)
    if pinned:
        cores.leave_to_server(server.pid)
    return server.uri(DATABASE), server.pid


async def _redis(stack: AsyncExitStack, folder: Path, *, pinned: bool) -> str:
    if given := os.environ.get("BENCH_REDIS_URL"):
        return given
    server = Valkey(folder=folder / "valkey", port=ports.free_port())
    await stack.enter_async_context(server)
    if pinned:
        cores.leave_to_server(server.pid)
    return server.uri()
