"""Connects many idle clients through the load balancer, from containers with an address each, and measures it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from tests.deploy.running_stack import PROJECT, RunningStack, docker, require

SCRIPT = Path(__file__).with_name("idle_crowd.py")
PER_CONTAINER = 900  # below MAX_CONNECTIONS_PER_ADDRESS
STAY_SECONDS = 30
OTHERS = 200  # places for those who look on and make orders meanwhile
PATIENCE = 60  # seconds without one more


class CrowdContainer:
    """One container with its clients."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.connected = 0
        self.failures = ""

    async def follow(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            count, _, self.failures = line.decode().strip().partition("\t")
            self.connected = int(count)


@asynccontextmanager
async def _crowd(number: int, clients: int, image: str) -> AsyncIterator[CrowdContainer]:
    name = f"{PROJECT}-idle-{number}"
    process = await asyncio.create_subprocess_exec(
        *("docker", "run", "--rm", "--name", name, "--network", f"{PROJECT}_edge", "--no-healthcheck"),
        *(image, "python", "-c", SCRIPT.read_text("utf-8"), str(clients)),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    crowd = CrowdContainer(process)
    following = asyncio.create_task(crowd.follow())
    try:
        yield crowd
    finally:
        await docker("rm", "--force", name, check=False)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await process.wait()


def idle_clients(wanted: int) -> Callable[[RunningStack], Awaitable[str]]:
    """Return the act of connecting so many, or as many as the engine's limit of open files allows."""

    async def act(stack: RunningStack) -> str:
        front = (await stack.names("loadbalancer"))[0]
        clients = min(wanted, await _places(front) - OTHERS)
        bare = await memory_of(front)
        image = (await stack.inspect((await stack.names("gateway"))[0]))["Image"]
        started = time.monotonic()
        async with AsyncExitStack() as containers:
            crowds = [
                await containers.enter_async_context(_crowd(number, min(PER_CONTAINER, clients - first), image))
                for number, first in enumerate(range(0, clients, PER_CONTAINER))
            ]

            def connected() -> int:
                return sum(crowd.connected for crowd in crowds)

            best, grown = 0, started
            while connected() < clients and time.monotonic() < grown + PATIENCE:
                await asyncio.sleep(0.5)
                if connected() > best:
                    best, grown = connected(), time.monotonic()
            took, most = time.monotonic() - started, connected()
            failures = {crowd.failures for crowd in crowds if crowd.failures}
            require(most == clients, f"{most} of {clients} are connected after {took:.0f} s: {sorted(failures)[:3]}")
            await asyncio.sleep(STAY_SECONDS)
            stayed = connected()
            full = await memory_of(front)
            state = (await stack.inspect(front))["State"]
        require(stayed >= clients * 0.999, f"{stayed} of {clients} stay connected: {sorted(failures)[:3]}")
        require(not state["OOMKilled"] and state["Running"], f"the load balancer runs: {state}")
        each = (full - bare) / clients / 1024
        return (
            f"{clients:,} of {wanted:,} connected in {took:.0f} s; the load balancer has {full / 2**20:.0f} MiB, "
            f"{bare / 2**20:.0f} before: {each:.1f} KiB for each"
        )

    return act


async def _places(front: str) -> int:
    """Return how many clients the load balancer lets in."""
    script = "tr '\\0' '\\n' </proc/1/environ | sed -n s/^LOADBALANCER_CLIENTS=//p"
    return int(await docker("exec", front, "sh", "-c", script))


async def memory_of(container: str) -> float:
    """Return the bytes that the container's processes use."""
    used = (await docker("stats", "--no-stream", "--format", "{{.MemUsage}}", container)).split("/")[0].strip()
    number = used.rstrip("BKMGiTk")
    units = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    return float(number) * units[used[len(number) :]]
