"""Runs an attacker beside the bench, as a stranger whose machine is another one, or a neighbour that attacks nobody."""

import asyncio
import json
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bench import cores, network
from bench.dialogue import module

SPINNING, FLOODED = "a-process-that-spins", "a-flood-of-another-server"
NEIGHBOURS = (SPINNING, FLOODED)
_FLOOD = "stream-flood"
_LOOK_SECONDS = 0.5


@asynccontextmanager
async def attacking(url: str, name: str, since: str, source: str) -> AsyncIterator[None]:
    """Have the attacker of this name attack meanwhile, from the address ``source``; raise if it never connected."""
    target = urlsplit(url)
    options = [f"--host={target.hostname}", f"--port={target.port}", f"--source={source}", f"--since={since}"]
    async with _running(module("tests.abuse.attackers", name, *options, "--seconds=600")) as output:
        await output.readline()  # it attacks
        yield
    told = await output.read()
    if not json.loads(told or b"{}").get("connections"):  # from its address: it binds no other
        raise RuntimeError(f"{name} has broken, or never got a connection")


@asynccontextmanager
async def neighbour(name: str, host: str, source: str) -> AsyncIterator[None]:
    """Have one of `NEIGHBOURS` keep the machine busy meanwhile."""
    if name == SPINNING:
        async with _running(module("bench.load.neighbour", "spin")):
            yield
    else:
        async with _running(module("bench.load.neighbour", "serve", host), server=True) as output:
            port = int(await output.readline())
            async with attacking(f"http://{host}:{port}", _FLOOD, "", source):
                yield


@asynccontextmanager
async def only_from(addresses: set[str], port: int) -> AsyncIterator[None]:
    """Raise if clients are connected to this port from any other address meanwhile."""
    seen: set[str] = set()

    async def look() -> None:
        while True:
            seen.update(network.peers(port))
            await asyncio.sleep(_LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])
    if others := sorted(seen - addresses):
        raise RuntimeError(f"clients came from {others}")


@asynccontextmanager
async def _running(command: Sequence[str], *, server: bool = False) -> AsyncIterator[asyncio.StreamReader]:
    """Run a program meanwhile and yield its output; on the core of the servers, or where nobody else wants one."""
    before = None if server else _run_when_idle
    child = await asyncio.create_subprocess_exec(*cores.prefix(server=server), *command, stdout=PIPE, preexec_fn=before)
    assert child.stdout is not None
    try:
        yield child.stdout
    finally:
        if child.returncode is None:
            child.terminate()
        await child.wait()


def _run_when_idle() -> None:
    # Nice 19 is not enough: a busy process of it still delays one that wakes up by most of a time slice.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
