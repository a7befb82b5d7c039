"""An SSE stream takes changes only while its connection does, and none once it has ended."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from services.common.cursor import Position
from services.common.deadlines import Deadlines
from services.common.fair_turns import FairTurns
from services.gateway.edge.unsent import Unsent
from services.gateway.filters import EVERYTHING
from services.gateway.hub import Hub
from services.gateway.ring import Ring
from services.gateway.sse.stream import IGNORED_BYTES, SseStream
from services.gateway.subscription import Mode, Subscription
from services.gateway.wire import sse
from services.gateway.wire.form import Form
from tests.stream_events import EPOCH, events


@dataclass
class Served:
    """A stream over a real connection, with its hub, and the client's end."""

    ring: Ring
    hub: Hub
    stream: SseStream
    subscription: Subscription
    client: socket.socket
    dropped: asyncio.Queue[SseStream]
    lost: asyncio.Event

    def publish(self, number: int) -> None:
        self.hub.publish(self.ring.append(events(number, number)))

    def chunk(self, number: int) -> bytes:
        return events(number, number)[0].encoded(Form.SSE, "")

    async def receive(self, size: int) -> bytes:
        return await asyncio.to_thread(self.client.recv, size, socket.MSG_WAITALL)


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    ring = Ring(100)
    ring.reset(EPOCH, Position(0, 0))
    hub = Hub(ring, lambda _: None, FairTurns())
    dropped: asyncio.Queue[SseStream] = asyncio.Queue()
    stalls: Deadlines[SseStream] = Deadlines(0.05, dropped.put_nowait)
    lost = asyncio.Event()
    stream = SseStream(Form.SSE, hub, stalls, lambda _: lost.set(), bytes, Unsent(1 << 30))
    ours, client = socket.socketpair()
    with client:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: stream, ours)
        subscription = hub.subscribe(stream, EVERYTHING, Position(0, 0))
        yield Served(ring, hub, stream, subscription, client, dropped, lost)
        stream.abort()
        await lost.wait()
        stalls.close()


async def test_nothing_follows_the_end(served: Served) -> None:
    served.stream.start(served.subscription)
    served.publish(1)
    served.stream.end()
    served.publish(2)
    await served.lost.wait()
    assert await served.receive(10_000) == served.chunk(1) + sse.LAST_CHUNK


async def test_nothing_is_sent_to_a_connection_that_was_cut(served: Served) -> None:
    served.stream.start(served.subscription)
    served.stream.abort()
    served.publish(1)
    await served.lost.wait()
    assert await served.receive(10_000) == b""


async def test_a_stream_whose_connection_is_full_begins_when_it_no_longer_is(served: Served) -> None:
    hello = b"x" * 5_000_000
    served.stream.write(hello)
    served.stream.start(served.subscription)
    served.publish(1)
    assert served.subscription.mode is Mode.PAUSED
    assert await served.receive(len(hello)) == hello
    assert await served.receive(len(served.chunk(1))) == served.chunk(1)
    served.publish(2)
    assert await served.receive(len(served.chunk(2))) == served.chunk(2)


async def test_a_stream_whose_connection_stays_full_is_dropped(served: Served) -> None:
    served.stream.write(b"x" * 5_000_000)
    served.stream.start(served.subscription)
    assert await served.dropped.get() is served.stream


async def test_a_stream_that_has_ended_is_dropped_where_its_client_does_not_take_the_rest(served: Served) -> None:
    served.stream.write(b"x" * 5_000_000)
    served.stream.start(served.subscription)
    served.stream.end()
    assert await served.dropped.get() is served.stream


async def test_a_client_that_goes_on_talking_is_cut_off(served: Served) -> None:
    served.stream.start(served.subscription)
    await asyncio.to_thread(served.client.sendall, bytes(IGNORED_BYTES))
    served.publish(1)
    assert await served.receive(len(served.chunk(1))) == served.chunk(1)
    await asyncio.to_thread(served.client.sendall, b"x")
    await served.lost.wait()
    assert len(served.hub) == 0
