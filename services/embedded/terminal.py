"""One terminal for several programs: each line starts with its program's name, in that program's colour."""

import asyncio
import functools
import os
from collections.abc import Callable
from typing import TextIO

_COLOURS = {"watcher": 36, "gateway": 32, "setup-db": 33, "run": 35}
_WIDTH = max(map(len, _COLOURS))
_CHUNK = 64 << 10


class Terminal:
    """Writes lines to `stream`; in colour if it is a terminal and NO_COLOR is not set."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR")

    def say(self, name: str, line: str) -> None:
        """Write one line. Errors are ignored: the programs keep running when the terminal is closed."""
        label = f"{name:{_WIDTH}} |"
        if self._colour:
            label = f"\033[{_COLOURS.get(name, 37)}m{label}\033[0m"
        try:
            self._stream.write(f"{label} {line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    def say_as(self, name: str) -> Callable[[str], None]:
        """Return a function that writes a line under `name`."""
        return functools.partial(self.say, name)

    async def relay(self, name: str, output: asyncio.StreamReader) -> None:
        """Write every line of `output` until its end; an endless line is split when the chunk is full."""
        rest = b""
        while chunk := await output.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.say(name, _text(line))
            if len(rest) > _CHUNK:
                self.say(name, _text(rest))
                rest = b""
        if rest:
            self.say(name, _text(rest))


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")
