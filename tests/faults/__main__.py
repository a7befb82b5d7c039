"""Runs the scenarios one after the other and prints the table: `python -m tests.faults`, which is `make faults`."""

import argparse
import asyncio
import secrets
import signal
import sys
from pathlib import Path

from tests.faults.audit import QUICK, Load
from tests.faults.catalogue import SCENARIOS
from tests.faults.report import DOCUMENT, amended, details, document, line, parts
from tests.faults.scenario import Result, Scenario, run_scenario

LOGS = Path(".data") / "faults"


def main() -> int:
    """Return 0 when every scenario that could be run is clean."""
    arguments = _arguments()
    if arguments.list:
        for scenario in SCENARIOS:
            _say(f"{scenario.name:38} {scenario.rows:12} {scenario.about}")
        return 0
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(10**6)
    chosen = [one for one in SCENARIOS if not arguments.only or any(part in one.name for part in arguments.only)]
    _say(f"{len(chosen)} scenarios, seed {seed}")
    try:
        results = asyncio.run(_run(chosen, seed, QUICK if arguments.quick else None))
    except asyncio.CancelledError:
        return 130
    if not arguments.quick and (not arguments.only or DOCUMENT.exists()):
        _write(results, seed, again=bool(arguments.only))
    clean = sum(result.clean for result in results)
    not_run = [result for result in results if result.not_run is not None]
    _say(f"{clean} of {len(results)} clean" + (f", {len(not_run)} NOT RUN" if not_run else "") + f"; seed {seed}")
    return 0 if clean + len(not_run) == len(results) else 1


def _write(results: list[Result], seed: int, *, again: bool) -> None:
    before, others = parts(DOCUMENT.read_text(encoding="utf-8")) if DOCUMENT.exists() else ("", "")
    text = amended(before, results, seed) if again else document(results, seed)
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(text.rstrip("\n") + "\n" + others, encoding="utf-8")
    _say(f"Written: {DOCUMENT}")


async def _run(chosen: list[Scenario], seed: int, load: Load | None) -> list[Result]:
    results = []
    work = asyncio.current_task()
    assert work is not None
    for number in (signal.SIGTERM, signal.SIGINT):  # so that mounts and namespaces are not left behind
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    for scenario in chosen:
        result = await run_scenario(scenario, seed, load=load, keep=LOGS)
        _say("\n".join([line(result), *details(result)]))
        results.append(result)
    return results


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the table is what this command is for


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="run the scenarios with this in their name")
    parser.add_argument("--seed", type=int, help="repeat a run: the seed that it printed")
    parser.add_argument("--quick", action="store_true", help="with a small load, for a busy machine")
    parser.add_argument("--list", action="store_true", help="list the scenarios and run none")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
