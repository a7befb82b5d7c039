"""A load balancer of one connection's worth: passes bytes to whichever gateway it is pointed at."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.waiting import cancel_all

_BEGINNING = re.compile(rb"[A-Z]+ /.* HTTP/1.1\r\n")  # of a request, which its client sends in one piece


class Switch:
    """Listens on `url`; new connections go to `port`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self.is_mute = False  # what the gateway says is dropped: its answers are lost
        self.dropped: set[asyncio.StreamWriter] = set()  # to whom
        self.rate: float | None = None  # bytes a second that it passes on from the gateway
        self.last_word: bytes | None = None  # before which it breaks off, and each connection with it
        self.broken_off: set[bytes] = set()  # those connections, each by the beginning of what was asked
        self.refused: tuple[bytes, ...] = ()  # words of requests that it refuses, as some proxies do
        self.refused_until: bytes | None = None  # the word of a request from which on it refuses none
        self.added = b""  # lines that it adds to the head of each request
        self.requests = 0
        self.is_over = False  # whoever still comes is cut off at once
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_over:
            writer.transport.abort()
            return
        self._writers.add(writer)
        self._keep(asyncio.create_task(self._connect(reader, writer)))

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        if writer.transport.is_closing():  # it was cut meanwhile
            back.transport.abort()
            return
        self._writers.add(back)
        asked = bytearray()
        for passing in (self._pass_on(reader, back, asked), self._answer(there, writer, asked)):
            self._keep(asyncio.create_task(passing))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: bytearray) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                asked += data[: 4096 - len(asked)]
                if self.refused_until is not None and self.refused_until in data.lower():
                    self.refused = ()
                if any(word in data.lower() for word in self.refused):
                    break
                if _BEGINNING.match(data):
                    self.requests += 1
                    line, end, rest = data.partition(b"\r\n")
                    data = line + end + self.added + rest
                sink.write(data)
                await sink.drain()
        sink.close()

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, asked: bytearray) -> None:
        with suppress(OSError):
            while data := await source.read(8192):
                if self.rate is not None:
                    await asyncio.sleep(len(data) / self.rate)
                if self.is_mute:
                    self.dropped.add(sink)
                elif self.last_word is not None and self.last_word in data:
                    sink.write(data[: data.index(self.last_word)])
                    self.broken_off.add(bytes(asked))
                    break
                else:
                    sink.write(data)
                    await sink.drain()
        sink.close()

    def cut(self) -> None:
        """Cut every connection, as a network does."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self.dropped.clear()


@asynccontextmanager
async def switch(port: int) -> AsyncIterator[Switch]:
    """Run one meanwhile."""
    passing = Switch(port)
    server = await asyncio.start_server(passing.accept, "127.0.0.1")
    passing.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        try:
            yield passing
        finally:
            passing.is_over = True
            passing.cut()
            while tasks := list(passing._tasks):  # one that connects may start others
                await cancel_all(*tasks)
            passing.cut()
