"""The short part of the fault suite that every test run does: one fault of each kind, with a small load."""

from dataclasses import replace

import pytest

from tests.faults.audit import QUICK
from tests.faults.catalogue import SCENARIOS
from tests.faults.checker import Breach
from tests.faults.report import details
from tests.faults.scenario import find, run_scenario
from tests.forked_process import ForkedService

SHORT = [
    "kill-the-leading-watcher",
    "flush-redis",
    "kill-a-gateway",
    "replace-the-collection",
]


@pytest.mark.parametrize("name", SHORT)
async def test_keeps_the_promise_whatever_dies(name: str) -> None:
    scenario = find(SCENARIOS, name)
    # Speed is left to `make faults` on a machine of its own; here other processes may be busy.
    forked = replace(scenario, shape=replace(scenario.shape, service=ForkedService))
    result = await run_scenario(forked, seed=1, load=QUICK)
    findings = [finding for finding in result.findings if finding.breach is not Breach.SLOW]
    assert not findings, "\n".join(details(result))


def test_every_scenario_has_a_name_of_its_own_and_says_what_it_is_about() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.about and scenario.rows for scenario in SCENARIOS)
