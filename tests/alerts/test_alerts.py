"""Every alert has a real cause, and four of them fire and stop by theirs; `make test-alerts` raises all."""

from pathlib import Path

import pytest

from tests.alerts.report import DOCUMENT, filled, merged, part_of, rows_of, section
from tests.alerts.rules import FACTOR, SHIPPED, alert_names, shortened
from tests.alerts.scenarios import FAULTS, QUICK
from tests.alerts.scene import scene
from tests.alerts.watching import Watched, watch


def test_every_alert_has_a_cause_that_raises_it() -> None:
    raised = {alert for fault in FAULTS for alert in fault.alerts}
    assert raised == set(alert_names())


def test_the_document_has_a_row_for_each_alert() -> None:
    shown = part_of(DOCUMENT.read_text("utf-8"))
    assert {one.alert for one in rows_of(shown) if one.not_run is None} == set(alert_names())


def test_only_durations_of_the_rules_are_shortened() -> None:
    rules = (SHIPPED / "alerts.yml").read_text("utf-8")
    assert shortened("expr: rate(a[10m]) > 30 and b < 3600\nfor: 15m", FACTOR) == (
        "expr: rate(a[20000ms]) > 30 and b < 3600\nfor: 30000ms"
    )
    assert len(shortened(rules).splitlines()) == len(rules.splitlines())
    assert shortened(rules, 1e-9) != rules


def test_the_table_takes_the_place_of_an_older_one() -> None:
    one = section([Watched("A", "a cause", 1, 2), Watched("B", "another", not_run="no reason")], 3, 3)
    document = filled("# Faults\n", one)
    assert "| `A` | a cause | 1 s | 2 s |" in document
    assert "**1 of 2 fired and stopped**" in document
    assert rows_of(one) == [Watched("A", "a cause", 1, 2), Watched("B", "another", not_run="no reason")]
    again = [Watched("B", "another", 3, 4)]
    assert merged(rows_of(one), again) == [Watched("A", "a cause", 1, 2), *again]
    other = section([Watched("A", "a cause", 5, 6)], 3, 2)
    assert part_of(filled(document, other)) == other
    assert filled(document, other).replace(other, "").rstrip() + "\n" == "# Faults\n"


@pytest.mark.timeout(420)
async def test_four_alerts_fire_by_their_real_causes_and_stop(tmp_path: Path) -> None:
    faults = {fault.name: fault for fault in FAULTS}
    async with scene(tmp_path) as everything:
        for name, alert in QUICK.items():
            [watched] = await watch(everything, faults[name], only=alert)
            assert watched.not_run is None
