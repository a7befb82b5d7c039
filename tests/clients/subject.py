"""A library under test as a process of its own, with every view of the orders that it has shown."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.piped_process import piped
from tests.service_process import ROOT
from tests.waiting import meanwhile, until

HERE = Path(__file__).parent
PYTHON, JS = [sys.executable, str(HERE / "driver.py")], ["node", str(HERE / "driver.mjs")]
# Each with the transport that its copy comes over.
LIBRARIES = {
    "python": (PYTHON, "sse"),
    "python-websocket": (PYTHON, "websocket"),
    "python-polling": (PYTHON, "polling"),
    "js": (JS, "sse"),
    "js-websocket": (JS, "websocket"),
    "js-polling": (JS, "polling"),
}
LONGEST_LIST = 500
TRANSPORTS = ["websocket", "polling", "sse"]
# What a request for a connection over each of them has.
WORDS = {"websocket": b"upgrade: websocket", "polling": b"transport=polling", "sse": b"text/event-stream"}
NOTHING: dict[str, Any] = {"rows": {}, "ids": [], "cursor": None, "phase": "loading", "reason": None, "pending": []}


@dataclass
class Subject:
    """The library; ``views`` in the order in which it showed them."""

    process: asyncio.subprocess.Process
    name: str
    over: str
    views: list[dict[str, Any]] = field(default_factory=list)
    written: dict[int, dict[str, Any]] = field(default_factory=dict)
    places: list[dict[str, Any]] = field(default_factory=list)
    token: Callable[[], str] = str  # makes one when the library asks for it
    opening: int = 0  # times that it was told to open something and has not said that it does

    @property
    def shown(self) -> dict[str, Any]:
        """What it shows now."""
        return self.views[-1] if self.views else NOTHING

    def has_asked(self, request: bytes) -> bool:
        """Tell whether this request is the library's, over its own transport."""
        is_python = b"aiohttp" in request
        return WORDS[self.over] in request.lower() and is_python == self.name.startswith("python")

    def open(self, url: str, **options: Any) -> None:
        """Have it make a copy, over its own transport unless others are named."""
        self.ask(**{"do": "open", "url": url, "transports": [self.over], **options})
        self.opening += 1
        self.views.clear()

    def ask(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def write(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Have it write, and return the outcome."""
        number = len(self.written) + 1
        self.ask(do="write", id=number, **asked)
        await until(lambda: number in self.written, f"the outcome of {asked}")
        return self.written[number]

    async def next_place(self) -> Any:
        """Have it say where another window can begin, or why that is not known."""
        before = len(self.places)
        self.ask(do="next")
        await until(lambda: len(self.places) > before, "the next place")
        return next(iter(self.places[-1].values()))

    async def place_below(self, url: str, count: int, window: dict[str, Any], **options: Any) -> Any:
        """Have it walk down a list that has more orders than so many, and return the place below them."""
        place = None
        for done in range(0, count, LONGEST_LIST):
            here = {**window, "skip": 0, "limit": min(LONGEST_LIST, count - done), "after": place}
            self.open(url, window=here, **options)
            place = await self.next_place()
        return place

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            if "wants" in told:
                self.ask(do="token", token=self.token())
            elif "place" in told or "no_place" in told:
                self.places.append(told)
            elif "opened" in told:
                self.opening -= 1
            elif "view" in told:
                if not self.opening:  # else it is of what was opened before
                    self.views.append(told["view"])
            else:
                self.written[told["written"]] = told


class Subjects:
    """The libraries, each as one process for many tests: its start takes as long as many of them."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Subject] = {}

    async def get(self, library: str) -> Subject:
        found = self._running.get(library)
        if found is None or found.process.returncode is not None:
            found = self._running[library] = await self._stack.enter_async_context(subject(library))
        return found


@asynccontextmanager
async def subject(library: str) -> AsyncIterator[Subject]:
    """Run a library meanwhile."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python")}
    command, over = LIBRARIES[library]
    async with piped(*command, env=environment, limit=1 << 26) as process:
        tested = Subject(process, library, over)
        async with meanwhile(tested.read()):
            yield tested
