"""Counts the changes of each customer in a file: exactly, although it may be killed at any moment.

    python worker.py http://localhost:3000 counts.json

What it has made of a change and the cursor of that change are stored in one step, so that it goes on behind it.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from live_orders import HistoryLost, LiveOrders


def load(file: Path) -> dict[str, Any]:
    state: dict[str, Any] = {"cursor": None, "counts": {}}
    if file.exists():
        state = json.loads(file.read_text(encoding="utf-8"))
    return state


def store(file: Path, state: dict[str, Any]) -> None:
    """Replace the file in one step: after a crash it is the old or the new one, and never a half."""
    new = file.with_suffix(".new")
    with new.open("w", encoding="utf-8") as written:
        json.dump(state, written)
        written.flush()
        os.fsync(written.fileno())
    new.replace(file)


async def work(url: str, file: Path) -> None:
    state = load(file)
    async with LiveOrders(url) as orders:
        while True:
            try:
                async for change in orders.changes(since=state["cursor"]):
                    customer = str((change.data or {}).get("customer_name"))
                    state["counts"][customer] = state["counts"].get(customer, 0) + 1
                    state["cursor"] = change.cursor
                    store(file, state)
            except HistoryLost as gap:
                print(f"Some changes cannot be counted any more: {gap.reason}", file=sys.stderr)
                state["cursor"] = gap.cursor


asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
