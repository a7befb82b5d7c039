"""While one client's old changes are read, MongoDB rests as long as it works; not while all clients wait for them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from services.common.cursor import Position
from services.common.fair_turns import INTERNAL, FairTurns
from services.gateway import history
from services.gateway.history import History
from services.mongodb.primary import Primary
from tests.waiting import HANGS

BATCHES = [0.03, 0.01, 20.0]  # how long MongoDB works on each, in seconds


class Oplog:
    """Stands in for the change stream and for the clock, which it moves on as it works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._batches: Iterator[float] = iter(BATCHES)

    async def is_merged(self) -> bool:
        return False

    @asynccontextmanager
    async def open(self, *_: object) -> AsyncGenerator["Oplog"]:
        yield self

    async def next(self, _: object) -> list[Any]:
        self.now += next(self._batches, 0.0)
        return []


async def rests_of(account: str, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Read as many batches for this account; return the pauses in between."""
    oplog = Oplog()
    rests: list[float] = []
    pause = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            rests.append(seconds)
        await pause(0)

    monkeypatch.setattr(history, "ChangeStream", lambda *_args, **_options: oplog)
    monkeypatch.setattr(history, "monotonic", lambda: oplog.now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    database: Any = None
    reader = History(database, "orders", Primary(), FairTurns())
    async with asyncio.timeout(HANGS), aclosing(reader.after(Position(1 << 32, 0), "e1", account)) as pages:
        for _ in range(len(BATCHES) + 1):
            await anext(pages)
    return rests


async def test_mongodb_rests_after_each_batch_as_long_as_it_took_and_at_most_a_twentieth_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await rests_of("192.0.2.1", monkeypatch) == pytest.approx([0.03, 0.01, 0.05])


async def test_it_does_not_rest_while_all_clients_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await rests_of(INTERNAL, monkeypatch) == []
