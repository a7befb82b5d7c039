"""Sends commands to a child process: one line of JSON for each, one line back."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Self

from bench import cores


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in the Python that runs us."""
    return [sys.executable, "-m", name, *arguments]


class Dialogue:
    """`async with Dialogue(module("bench.load")) as load: await load.ask(do="open", ...)`."""

    def __init__(self, command: Sequence[str], *, server: bool = False, pinned: bool = True) -> None:
        self._argv: Sequence[str] = [*(cores.prefix(server=server) if pinned else []), *command]

    async def __aenter__(self) -> Self:
        self._child = await asyncio.create_subprocess_exec(
            *self._argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 28
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child.returncode is None:
            self._child.terminate()
        await self._child.wait()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return its answer; raise if the child failed."""
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("the child has no pipes")
        self._child.stdin.write(json.dumps(command).encode() + b"\n")
        line = await self._child.stdout.readline()
        if not line:
            raise RuntimeError("the child has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer
