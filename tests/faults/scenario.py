"""Defines a scenario, and runs one to its verdict."""

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.mongodb.driver import mend_driver
from tests.faults.audit import Audit, Load, Recovery, audit
from tests.faults.checker import Breach, Finding, total
from tests.faults.ledger import Outcome
from tests.faults.stack import Shape

# Far more than any takes; a scenario that hangs fails.
MOST_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is broken while the auditor watches. ``rows`` are the rows of the fault matrix that it covers."""

    name: str
    rows: str
    about: str
    run: Callable[[Audit], Awaitable[None]]
    shape: Shape
    load: Load
    missing: Callable[[], str | None]


@dataclass(slots=True)
class Result:
    """The result of a scenario."""

    scenario: Scenario
    seed: int
    not_run: str | None = None
    events: int = 0
    clients: int = 0
    connects: int = 0
    faults: int = 0
    seconds: float = 0.0
    unknown: int = 0
    recoveries: list[Recovery] = field(default_factory=list)
    resyncs: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return self.not_run is None and not self.findings

    @property
    def verdict(self) -> str:
        if self.not_run is not None:
            return f"NOT RUN: {self.not_run}"
        return "clean" if not self.findings else f"FAILED: {self.findings[0].what[:160]}"

    def count(self, *breaches: Breach) -> int:
        """Count the findings of these kinds."""
        return total(self.findings, *breaches)


def scenario(
    rows: str,
    *,
    shape: Shape = Shape(),  # noqa: B008 - frozen
    load: Load = Load(),  # noqa: B008 - frozen
    missing: Callable[[], str | None] = lambda: None,
) -> Callable[[Callable[[Audit], Awaitable[None]]], Scenario]:
    """Make a scenario of a function: its name is the scenario's name, its docstring the description."""

    def made(run: Callable[[Audit], Awaitable[None]]) -> Scenario:
        name = getattr(run, "__name__", "").replace("_", "-")
        about = " ".join((run.__doc__ or "").split()).removesuffix(".")
        return Scenario(name, rows, about, run, shape, load, missing)

    return made


async def run_scenario(scenario: Scenario, seed: int, *, load: Load | None = None, keep: Path | None = None) -> Result:
    """Run it in a folder of its own; if it fails and ``keep`` is given, the logs are copied there."""
    mend_driver()  # of the auditor's own writers
    result = Result(scenario, seed, not_run=scenario.missing())
    if result.not_run is not None:
        return result
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        async with asyncio.timeout(MOST_SECONDS):
            await _run(scenario, result, folder, load or scenario.load)
    except TimeoutError:
        result.findings.append(Finding(Breach.SERVICE, "scenario", f"it took longer than {MOST_SECONDS:.0f} s"))
    except Exception as error:  # noqa: BLE001 - after any error, the other scenarios must still run
        result.findings.append(Finding(Breach.SERVICE, "scenario", f"it was aborted: {_reason(error)}"))
    finally:
        result.seconds = time.monotonic() - began
        if result.findings and keep is not None:
            _keep_logs(folder, keep / scenario.name)
        shutil.rmtree(folder, ignore_errors=True)
    return result


async def _run(scenario: Scenario, result: Result, folder: Path, load: Load) -> None:
    async with audit(folder, scenario.shape, load, random.Random(result.seed)) as running:
        try:
            await running.warm_up()
            await scenario.run(running)
            await running.settle()
            result.findings = await running.judge()
        finally:
            _fill(result, running)


def _fill(result: Result, running: Audit) -> None:
    records = running.crowd.records
    result.events = len(running.witness.changes)
    result.clients = len(records)
    result.connects = sum(record.connects for record in records)
    result.faults = running.faults
    result.recoveries = running.recoveries
    result.unknown = running.writers.ledger.count(Outcome.UNKNOWN)
    result.resyncs = Counter(reason for record in records for reason in record.resyncs)


def _reason(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reason(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _keep_logs(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in folder.rglob("*.log"):
        shutil.copy(log, target / f"{log.parent.name}-{log.name}")


def find(scenarios: Sequence[Scenario], name: str) -> Scenario:
    """Return the scenario of that name; KeyError where there is none."""
    return {one.name: one for one in scenarios}[name]
