"""A burst of one websocket client is worked off in many turns of the loop, in order."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.common import fair_turns
from services.common.deadlines import Deadlines
from services.common.fair_turns import FairTurns
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.websocket_connection import WebSocketConnection
from services.gateway.wire.websocket import CloseCode
from tests.unit.websocket_client import CONTINUATION, PONG, TEXT, frame
from tests.waiting import HANGS, until

LIMIT = 65_536


class Owner:
    """Records the turn of the loop in which each frame comes in, and closes after `allowed` frames."""

    def __init__(self, connection: WebSocketConnection, allowed: int = 10**9) -> None:
        self.frames: Counter[int] = Counter()
        self.bytes: Counter[int] = Counter()
        self.received: list[str | bytes] = []
        self.turn = 0
        self._allowed = allowed
        self._connection = connection
        self._next_turn()

    def _next_turn(self) -> None:
        self.turn += 1
        self._timer = asyncio.get_running_loop().call_soon(self._next_turn)

    def stop(self) -> None:
        self._timer.cancel()

    def admit_websocket_frame(self) -> bool:
        self.frames[self.turn] += 1
        if self.frames.total() > self._allowed:
            self._connection.close(CloseCode.POLICY)
            return False
        return True

    def websocket_received(self, message: str | bytes) -> None:
        self.received.append(message)
        self.bytes[self.turn] += len(message)

    def websocket_lost(self, violation: CloseCode | None) -> None:
        pass

    def cut(self) -> None:
        pass

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _one_turn_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pass of the loop have time for one turn only, so that turns can be told apart."""
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0.0)


@asynccontextmanager
async def flooded(data: bytes, allowed: int = 10**9) -> AsyncIterator[Owner]:
    """Connect a websocket to a client that has sent all of `data` already."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
    theirs.setblocking(False)
    assert theirs.send(data) == len(data), "the kernel takes it at once"
    closing: Deadlines[WebSocketConnection] = Deadlines(5, WebSocketConnection.abort)
    connection = WebSocketConnection(LIMIT, closing, Unsent(1 << 20), FairTurns(), "one")
    owner = Owner(connection, allowed)
    connection.set_owner(owner)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=ours)
    try:
        async with asyncio.timeout(HANGS):
            yield owner
    finally:
        owner.stop()
        transport.abort()
        closing.close()
        theirs.close()


@pytest.mark.parametrize("crumb", [frame(PONG, b""), frame(TEXT, b"6"), frame(CONTINUATION, b"", fin=False)])
async def test_a_turn_reads_a_few_frames_of_a_client(crumb: bytes) -> None:
    begin, end = (frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"z")) if not crumb[0] else (b"", frame(TEXT, b"z"))
    data = begin + crumb * (60 if begin else 20_000) + end
    async with flooded(data) as owner:
        await until(lambda: owner.received[-1:] in (["z"], ["az"]), "all has been read")
    assert max(owner.frames.values()) <= 16


async def test_a_turn_reads_a_few_bytes_of_a_client_in_large_frames() -> None:
    words = [str(number) + "x" * 10_000 for number in range(18)]
    async with flooded(b"".join(frame(TEXT, word.encode()) for word in words)) as owner:
        await until(lambda: len(owner.received) == len(words), "all has been read")
    assert owner.received == words
    assert max(owner.bytes.values()) < 65_536 + len(words[-1])


async def test_the_reading_ends_in_the_midst_of_a_turn_where_a_frame_is_one_too_many() -> None:
    async with flooded(frame(TEXT, b"a") * 10_000, allowed=20) as owner:
        await until(lambda: owner.frames.total() > 20, "the client has been closed")
        turn = owner.turn
        await until(lambda: owner.turn > turn + 100, "there was time for more")
    assert owner.received == ["a"] * 20
    assert owner.frames.total() == 21
