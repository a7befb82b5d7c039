"""Errors of ours are counted each, and logged no more often than anybody reads."""

import pytest
import structlog

from services.gateway.edge import log_throttle
from services.gateway.edge.failures import Failures
from services.gateway.edge.incidents import IncidentKind


def test_the_first_of_many_is_logged_and_all_are_counted() -> None:
    counted: list[IncidentKind] = []
    noted = Failures("It failed", counted.append)
    with structlog.testing.capture_logs() as logs:
        for number in range(1000):
            noted.note(RuntimeError(str(number)))
    assert [(entry["event"], str(entry["exc_info"])) for entry in logs] == [("It failed", "0")]
    assert counted == [IncidentKind.APPLICATION_ERROR] * 1000


def test_after_a_while_one_is_logged_again_with_how_many_were_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(log_throttle, "monotonic", lambda: now)
    noted = Failures("It failed", lambda _: None)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            noted.note(RuntimeError())
        now = log_throttle.QUIET_SECONDS
        noted.note(RuntimeError())
    assert [entry["unlogged_before"] for entry in logs] == [0, 2]
