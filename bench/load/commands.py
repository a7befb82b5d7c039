"""The child's end of a `Dialogue`: takes one JSON command a line and answers each with one line."""

import asyncio
import json
import sys
from typing import Any

import uvloop


async def _serve(commands: object) -> None:
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command: dict[str, Any] = json.loads(line)
        try:
            answer = await getattr(commands, command.pop("do"))(**command)
        except Exception as error:  # noqa: BLE001  # reported to the parent
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer or {}), flush=True)


def serve(commands: object) -> None:
    """Execute commands until the other side closes: each names a method and its arguments."""
    uvloop.run(_serve(commands))
