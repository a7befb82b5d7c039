"""What `make test-compose` writes: a verdict for each row, and a table that keeps the rows that were not run."""

from tests.deploy.audience import Tally
from tests.deploy.compose_report import Outcome, amended
from tests.deploy.rows import rows

ROWS = rows(100)
BY_NAME = {row.name: row for row in ROWS}
CLEAN = Tally(events=10, lost=0, doubled=0, reordered=0, resyncs=())


def test_a_row_is_clean_only_if_nothing_was_refused_lost_doubled_or_resynced() -> None:
    update = BY_NAME["update"]
    assert Outcome(update, 5, [], CLEAN).faults == []
    assert Outcome(update, 5, ["GET: 503"], CLEAN).faults == ["1 requests refused: 1 GET: 503"]
    assert Outcome(update, 5, [], CLEAN, failure="it did not start").faults == ["it did not start"]
    for tally in (Tally(10, 1, 0, 0, ()), Tally(10, 0, 1, 0, ()), Tally(10, 0, 0, 1, ()), Tally(10, 0, 0, 0, ("x",))):
        assert len(Outcome(update, 5, [], tally).faults) == 1


def test_requests_may_be_refused_only_without_the_database() -> None:
    assert [row.name for row in ROWS if row.refuses] == ["freeze-mongodb", "restore"]
    assert Outcome(BY_NAME["freeze-mongodb"], 5, ["POST: 503"], CLEAN).faults == []


def test_a_row_that_cannot_be_run_here_is_neither_clean_nor_failed() -> None:
    outcome = Outcome(BY_NAME["restore"], not_run="there is no mongodump")
    assert outcome.faults == []
    assert outcome.cells()[-2:] == ["there is no mongodump", "NOT RUN"]


def test_a_row_that_is_run_again_takes_the_place_of_its_line_and_the_others_stay() -> None:
    first = amended(
        "# Faults\n", [Outcome(BY_NAME["update"], 5, ["GET: 503"], CLEAN), Outcome(ROWS[0], 7)], ROWS, "here"
    )
    assert "| update | 5 | 1 | 10 | 0 | 0 | 0 |  | FAILED |" in first
    second = amended(f"{first}more\n", [Outcome(BY_NAME["update"], 6, [], CLEAN)], ROWS, "there")
    assert second.startswith("# Faults\n")
    assert second.endswith("more\n")
    assert "| update | 6 | 0 | 10 | 0 | 0 | 0 |  | clean |" in second
    assert "FAILED" not in second
    assert second.count(f"| {ROWS[0].name} | 7 |") == 1
    assert second.index(f"| {ROWS[0].name} |") < second.index("| update |")
    assert second.count("<!-- compose") == 2
