"""Measures the web page in a real Chromium: `python -m bench.page [--seconds N] [--web FOLDER]` writes docs/page.md."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from bench.browser import SCROLL, Browser, Flow, browser
from bench.contestants import ROOT, Part, watcher
from bench.page_pictures import take, take_moving
from bench.page_report import cold_targets, report, row_of, row_of_cold, targets
from bench.page_writer import Writer, order
from bench.report.section import Verdict
from bench.stage import Stage, stage

PAGE = ROOT / "docs" / "page.md"
MANY = 100_000
ROW = 48.0
LAST_ROW = "return Math.max(0, ...[...document.querySelectorAll('#rows tr')].map((row) => row.ariaRowIndex))"
TARGETS = ("#indicator summary", "#customer_name")


@asynccontextmanager
async def serving(there: Stage, web: Path) -> AsyncIterator[str]:
    """Run watcher and gateway, the gateway with the page of this folder."""
    env = {"MONGODB_URI": there.mongodb_uri, "REDIS_URL": there.redis_url, "WEB_DIR": str(web)}
    folder = there.new_folder("page")
    gateway = Part(
        name="gateway",
        command=[sys.executable, "-m", "services.gateway"],
        folder=folder,
        settings={"PYTHONPATH": str(ROOT), "DRAIN_SECONDS": "0", "CLIENT_DIR": str(CLIENT), **env},
        readyz="/readyz/stream",
        pinned=False,
    )
    reader = watcher(env, folder)
    reader.pinned = False
    async with reader, gateway:
        yield gateway.url


CLIENT = ROOT / "node_modules" / "socket.io-client" / "dist"


def same_as_database(page: Browser, orders: Collection[dict[str, Any]], direction: int) -> bool:
    """Whether the rows in view are the newest orders (-1), or the last ones the oldest (1)."""
    for _ in range(100):
        page.run("scrollTo(0, arguments[0] < 0 ? 0 : document.documentElement.scrollHeight)", direction)
        rows: list[str] = page.run(
            "return [...document.querySelectorAll('#rows tr:not([inert])')].map((r) => r.dataset.id)"
        )
        end = rows if direction < 0 else rows[::-1]
        found = [str(each["_id"]) for each in orders.find({}, {"_id": 1}).sort("_id", direction).limit(len(end))]
        if len(end) > 5 and end == found:
            return True
        time.sleep(0.1)
    return False


def mixed(page: Browser, url: str, orders: Collection[dict[str, Any]], seconds: float) -> tuple[Flow, bool]:
    page.open(url)
    with Writer(orders).at_work():
        time.sleep(5)  # until everything is compiled and the caches are full
        flow = page.flow(seconds, TARGETS)
    return flow, same_as_database(page, orders, -1)


def scrolling(page: Browser, url: str, orders: Collection[dict[str, Any]], seconds: float) -> tuple[Flow, bool, int]:
    page.open(url)
    with Writer(orders).at_work():
        time.sleep(5)
        flow = page.flow(seconds, TARGETS[:1], scroll=MANY * ROW / seconds * 1.15)
        page.run(SCROLL, MANY * ROW / seconds)
        passed, deadline = 0, time.monotonic() + seconds
        while passed < MANY and time.monotonic() < deadline:  # the rest, where the machine was too slow for all of it
            passed = max(passed, int(page.run(LAST_ROW)))
            time.sleep(0.1)
    page.run("window.scrolling = false")
    whole = passed >= MANY and same_as_database(page, orders, 1)
    return flow, same_as_database(page, orders, -1) and whole, passed


async def measure(seconds: float, web: Path, only: str | None) -> tuple[list[list[str]], list[Verdict]]:
    rows: list[list[str]] = []
    found: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="bench-page-") as name:
        folder = Path(name)
        async with stage(folder, pinned=False) as there, serving(there, web) as url:
            client: MongoClient[dict[str, Any]] = MongoClient(there.mongodb_uri)
            orders = client.get_default_database()["orders"]
            orders.delete_many({})
            orders.insert_many([order(number) for number in range(1000)])

            def load() -> None:
                with browser(folder / "cold") as page:
                    cold = page.cold_load(url)
                rows.extend(row_of_cold(cold))
                found.extend(cold_targets(cold))

            def first() -> None:
                with browser(folder / "mixed") as page:
                    flow, same = mixed(page, url, orders, seconds)
                rows.append(row_of("at the top", flow, same))
                found.extend(targets("at the top", flow, same))

            def second() -> None:
                orders.insert_many([order(number) for number in range(MANY)])
                with browser(folder / "scroll") as page:
                    flow, same, passed = scrolling(page, url, orders, seconds)
                rows.append(row_of(f"scrolling, {passed:,} orders", flow, same))
                found.extend(targets("scrolling", flow, same))

            def pictures() -> None:
                with browser(folder / "pictures") as page:
                    take(page, url, orders, PAGE.parent)
                    take_moving(page, url, orders, PAGE.parent)

            steps = {"cold": load, "mixed": first, "scroll": second, "pictures": pictures}
            for what, act in steps.items():
                if only in (None, what):
                    await asyncio.to_thread(act)
                    print(what, rows[-1:], flush=True)
            client.close()
    return rows, found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description="Measure the web page in Chromium.")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument(
        "--web", type=Path, default=ROOT / "web", help="another page to measure, whose figures are only printed"
    )
    parser.add_argument("--only", choices=["cold", "mixed", "scroll", "pictures"])
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows, found = asyncio.run(measure(options.seconds, options.web, options.only))
    text = report(rows, found, options.seconds, load)
    print(text)
    if options.web == ROOT / "web" and options.only is None:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
