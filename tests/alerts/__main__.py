"""Raises every alert by its real cause, and lets it stop: `python -m tests.alerts [NAME…]` or `make test-alerts`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.alerts.report import DOCUMENT, filled, merged, part_of, rows_of, section
from tests.alerts.scenarios import FAULTS, Fault
from tests.alerts.scene import Scene, asked, scene, streams, writing
from tests.alerts.watching import Watched, queries, watch, without_data
from tests.waiting import meanwhile, until


def main() -> int:
    """Return 0 when every alert that could be raised fired and stopped, and every query had data."""
    wanted = sys.argv[1:]
    chosen = [fault for fault in FAULTS if not wanted or any(part in fault.name for part in wanted)]
    watched, failures, silent = asyncio.run(_run(chosen))
    document = DOCUMENT.read_text("utf-8")
    before = rows_of(part_of(document)) if wanted else []
    asked_for = len(list(queries()))
    part = section(merged(before, watched), asked_for, asked_for - silent)
    DOCUMENT.write_text(filled(document, part), "utf-8")
    _say(f"Written: {DOCUMENT}")
    _say(f"{len(watched)} alerts, {len(failures)} failures")
    return int(bool(failures))


async def _run(chosen: list[Fault]) -> tuple[list[Watched], list[str], int]:
    watched: list[Watched] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="alerts-") as folder:
        async with scene(Path(folder)) as everything:
            failures += await _ask_dashboards(everything)
            silent = len(failures)
            for fault in chosen:
                try:
                    found = await watch(everything, fault)
                except AssertionError as error:
                    failures.append(f"{fault.name}: {error}")
                    _say(f"FAILED {failures[-1]}")
                    watched += [Watched(alert, fault.what, not_run="FAILED") for alert in fault.alerts]
                    continue
                watched += found
                for one in found:
                    how = one.not_run or f"fired after {one.fired:.0f} s, stopped after {one.stopped:.0f} s"
                    _say(f"{one.alert:22} {fault.name:22} {how}")
    return watched, failures, silent


async def _ask_dashboards(everything: Scene) -> list[str]:
    """Ask every query while a few clients and writers are there."""
    url = everything.stack.gateways[0].url
    async with writing(everything.orders, 10), streams(url, 3), meanwhile(asked(url, "/api/orders")):
        try:
            await until(lambda: _complete(everything), "every query returns data", 60)
        except AssertionError:
            return await without_data(everything)
    return []


async def _complete(everything: Scene) -> bool:
    return not await without_data(everything)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what this command is for


if __name__ == "__main__":
    sys.exit(main())
