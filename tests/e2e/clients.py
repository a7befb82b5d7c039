"""Stock clients of the gateway as processes, and the events of each."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.piped_process import piped
from tests.waiting import HANGS, cancel_all, until

SCRIPT = Path(__file__).with_name("client.mjs")


@dataclass
class Listener:
    """A client's events, in order."""

    updates: list[dict[str, Any]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the first arguments of the events of this name."""
        return [line["args"][0] for line in self.said if line["what"] == "event" and line["name"] == name]

    def heard(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self.said if line["what"] == what]

    @property
    def cursor(self) -> str:
        """The cursor of the last event."""
        lines = [line["args"][0]["cursor"] for line in self.said if line["what"] == "event"]
        return str(lines[-1])

    async def has(self, updates: int, seconds: float = 30) -> list[dict[str, Any]]:
        """Return the envelopes as soon as there are so many."""
        await until(lambda: len(self.updates) >= updates, f"{updates} changes have been told", seconds)
        return self.updates

    def take(self, line: dict[str, Any]) -> None:
        self.said.append(line)
        if line["what"] == "event" and line["name"] == "orderUpdate":
            self.updates.append(line["args"][0])


@dataclass
class NodeClient(Listener):
    """A stock socket.io-client under Node."""

    process: asyncio.subprocess.Process | None = None

    def ask(self, what: str, **more: Any) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"ask": what, **more}).encode() + b"\n")

    async def connected(self, times: int = 1) -> list[dict[str, Any]]:
        await until(lambda: len(self.named("connected")) >= times, f"{times} times connected")
        return self.heard("connect")


@asynccontextmanager
async def node(url: str, transports: Sequence[str] = ("websocket",), **options: Any) -> AsyncIterator[NodeClient]:
    """Run the JavaScript client; it is connected, and its first `connected` is there."""
    arguments = json.dumps({"transports": transports, **options})
    async with piped("node", str(SCRIPT), url, arguments) as process:
        client = NodeClient(process=process)
        async with _reading(process, lambda line: client.take(json.loads(line))):
            await client.connected()
            yield client


@asynccontextmanager
async def process_lines(*argv: str, take: Callable[[str], None]) -> AsyncIterator[None]:
    """Run a program meanwhile, and have each line that it prints taken."""
    async with piped(*argv) as process, _reading(process, take):
        yield


@asynccontextmanager
async def curl(url: str, *arguments: str) -> AsyncIterator[Listener]:
    """Run `curl -N` on an event stream."""
    listener = Listener()
    block: dict[str, str] = {}

    def take(line: str) -> None:
        if line:
            name, _, value = line.partition(": ")
            block[name] = value
        elif "data" in block:
            told = json.loads(block["data"])
            listener.take({"what": "event", "name": block["event"], "args": [told], "id": block.get("id")})
            block.clear()

    async with piped("curl", "-sN", *arguments, url) as process, _reading(process, take):
        await until(lambda: listener.named("connected"), "curl is connected")
        yield listener


async def run(*argv: str) -> str:
    """Run a command and return its output."""
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(HANGS):
        out, _ = await process.communicate()
    return out.decode()


@asynccontextmanager
async def _reading(process: asyncio.subprocess.Process, take: Any) -> AsyncIterator[None]:
    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            take(line.decode().rstrip("\n"))

    task = asyncio.create_task(read())
    try:
        yield
    finally:
        await cancel_all(task)
