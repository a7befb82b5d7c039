"""A window alone, without a network: exact at every moment, whatever the order in which lists and changes come."""

import asyncio
import json
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from live_orders.copy_state import Phase
from live_orders.server import Answer, Server, Unavailable
from live_orders.stream import StreamEvent
from live_orders.window import Window
from live_orders.window_copy import WindowCopy
from tests.clients.window_model import MARK, History, history

RUNS = 250
NODE = Path(__file__).with_name("window_model.mjs")


class Lists(Server):
    """Answers with the list of a moment around the present one, often too early for the change that asked for it."""

    def __init__(self, past: History, dice: random.Random) -> None:
        self._past = past
        self._dice = dice
        self.now = 0
        self.asked = 0

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        del method, body, headers
        assert (f"after={quote_plus(MARK)}&" in path) == ("after" in self._past.window)
        self.asked += 1
        if self._dice.random() < 0.05:
            raise Unavailable("the network is down")
        moment = self._dice.randint(max(0, self.now - 3), len(self._past.lists) - 1)
        most = int(path.rpartition("limit=")[2])
        listed = self._past.lists[moment]
        more = {"Link": '</api/orders?after=x>; rel="next"'} if len(listed) > most else {}
        return Answer(200, {"Stream-Cursor": f"e.{moment}-4294967295", **more}, listed[:most])


async def follow(past: History, seed: int) -> int:
    """Compare the window with the history after everything that it announces; return how many lists it asked for."""
    dice = random.Random(seed)
    lists = Lists(past, dice)

    def compare() -> None:
        if copy.state.status.phase is Phase.LIVE and copy.state.position is not None:
            assert list(copy.state.rows.values()) == past.rows[copy.state.position.time]

    copy = WindowCopy(lists, "/api/orders", [], Window(**past.window), compare)
    await copy.take(StreamEvent("connected", {"cursor": "e.0-0"}, "e.0-0"))
    for lists.now, change in enumerate(past.changes, 1):
        is_lost = dice.random() < 0.005
        name, told = ("resync", {**change, "reason": "history_lost"}) if is_lost else ("orderUpdate", change)
        await copy.take(StreamEvent(name, told, change["cursor"]))
        compare()
        if dice.random() < 0.1:
            await copy.take(StreamEvent("message", None, change["cursor"]))
            compare()
    assert copy.state.status.phase is Phase.LIVE
    return lists.asked


async def test_pythons_window_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    real_sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: real_sleep(0))  # between two lists
    asked = 0
    for seed in range(RUNS):
        try:
            asked += await follow(history(seed), seed)
        except AssertionError as error:
            raise AssertionError(f"run {seed}: {history(seed).window}") from error
    assert asked > 2 * RUNS  # some had to be asked for again


def test_javascripts_window_is_exact() -> None:
    lines = "".join(f"{json.dumps(vars(history(seed)))}\n" for seed in range(RUNS))
    done = subprocess.run(
        ["node", str(NODE)], input=lines, capture_output=True, text=True, timeout=100, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    runs, asked = map(int, done.stdout.split())
    assert runs == RUNS
    assert asked > 2 * RUNS
