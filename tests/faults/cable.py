"""A TCP proxy on this machine: it can be pointed at another server, and deliver bytes in small pieces or changed."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from services.embedded.ports import free_port

_CHUNK = 1 << 16


class Cable:
    """Listens on ``port`` and forwards everything to ``target``; used by `async with`.

    With ``chop``, bytes arrive in pieces of at most that many, after small delays, as over a bad radio link.
    """

    def __init__(self, target: int, *, chop: int = 0, rng: random.Random | None = None) -> None:
        self.port = free_port()
        self._target = target
        self._chop = chop
        self._rng = rng or random.Random()
        self.greeting: Callable[[bytes], bytes] | None = None  # changes what the target says first on a new connection
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._cut()

    def plug(self, target: int) -> None:
        """Forward to another port from now on; every connection is cut."""
        self._target = target
        self._cut()

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._open |= both
        try:
            there = asyncio.create_task(self._pump(reader, far_writer, chop=0))
            back = asyncio.create_task(self._pump(far_reader, writer, chop=self._chop, greeting=self.greeting))
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        finally:
            self._open -= both
            for end in both:
                end.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        chop: int,
        greeting: Callable[[bytes], bytes] | None = None,
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                if greeting is not None:
                    data, greeting = greeting(data), None
                at = 0
                while at < len(data):
                    size = self._rng.randint(1, chop) if chop else len(data)
                    writer.write(data[at : at + size])
                    at += size
                    if chop:
                        await asyncio.sleep(self._rng.uniform(0, 0.002))
                await writer.drain()
