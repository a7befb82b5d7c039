"""The document of the fault suite has the findings, and the results of scenarios that were run again."""

from tests.faults.audit import Recovery
from tests.faults.catalogue import SCENARIOS
from tests.faults.checker import Breach, Finding
from tests.faults.report import amended, document, parts
from tests.faults.scenario import Result

SLOW = Finding(Breach.SLOW, "stack", "recovered after 9 s")


def result(number: int, *findings: Finding) -> Result:
    recoveries = [Recovery("kill -9", 1.0, 2.0, 0.1)]
    return Result(SCENARIOS[number], 1, events=10, clients=5, recoveries=recoveries, findings=list(findings))


def test_a_scenario_that_is_run_again_takes_the_place_of_its_line() -> None:
    first = document([result(0), result(1, SLOW), result(2, SLOW)], 1)
    assert "**1 of 3 clean**" in first
    second = amended(first, [result(1)], 2)
    assert "**2 of 3 clean**" in second
    assert (
        f"Run again with seed 2 on {second.split('Run again with seed 2 on ')[1][:10]}: {SCENARIOS[1].name}." in second
    )
    assert second.count("recovered after 9 s") == 2  # in its line, and below the findings
    third = amended(second, [result(2)], 3)
    assert "**3 of 3 clean**" in third
    assert "What was found" not in third
    assert "recovered after 9 s" not in third
    assert "Run again with seed 2" in third


def test_a_scenario_that_fails_when_it_is_run_again_is_reported_as_failed() -> None:
    again = amended(document([result(0), result(1)], 1), [result(0, SLOW)], 2)
    assert "**1 of 2 clean**" in again
    assert f"| {SCENARIOS[0].name} |" in again
    assert "FAILED: recovered after 9 s" in again


def test_the_tables_of_other_commands_stay_as_they_are() -> None:
    whole = document([result(0), result(1)], 1)
    others = "\n<!-- compose: made by make test-compose -->\n\n| update | 0 | FAILED |\n\n<!-- compose: end -->\n"
    assert parts(whole + others) == (whole, others)
    assert parts(whole) == (whole, "")


def test_a_scenario_that_is_new_gets_a_line_and_a_description_of_its_own() -> None:
    more = amended(document([result(0), result(1)], 1), [result(2)], 2)
    assert "**3 of 3 clean**" in more
    assert more == amended(document([result(0), result(1), result(2)], 1), [result(2)], 2)
