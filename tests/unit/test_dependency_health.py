"""An outage is logged once when it begins and once when it ends; the retries in between slow down."""

from itertools import pairwise

import pytest
import structlog
from structlog.testing import capture_logs

from services.common.dependency_health import DependencyHealth


@pytest.fixture(autouse=True)
def _fresh_loggers() -> None:
    structlog.reset_defaults()


def test_only_its_beginning_and_its_end_are_logged() -> None:
    with capture_logs() as lines:
        health = DependencyHealth("redis")
        for number in range(5):
            health.failed(OSError(f"refused {number}"))
        health.succeeded()
        health.succeeded()
        health.failed("again")
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "redis failed, retrying"),
        ("info", "redis works again"),
        ("warning", "redis failed, retrying"),
    ]
    assert lines[0]["error"] == "refused 0"


def test_it_reports_the_current_problem() -> None:
    health = DependencyHealth("redis")
    assert (health.is_up, health.error) == (False, "not reached yet")
    health.succeeded()
    assert (health.is_up, health.error) == (True, None)
    health.failed("first")
    health.failed("second")
    assert (health.is_up, health.error) == (False, "second")
    health.succeeded()
    assert (health.is_up, health.error) == (True, None)


def test_pauses_grow_up_to_the_longest_and_are_spread() -> None:
    health = DependencyHealth("redis", first_pause=1, longest_pause=8)
    bounds = [1, 2, 4, 8, 8, 8]
    for bound in bounds:
        assert bound / 2 <= health.failed("x") <= bound


def test_after_it_worked_the_first_pause_is_short_again() -> None:
    health = DependencyHealth("redis", first_pause=1, longest_pause=8)
    for _ in range(4):
        health.failed("x")
    health.succeeded()
    assert health.failed("x") <= 1


def test_a_crowd_does_not_come_back_at_once() -> None:
    pauses = sorted(DependencyHealth("redis", first_pause=1).failed("x") for _ in range(200))
    assert pauses[-1] - pauses[0] > 0.3
    assert max(later - earlier for earlier, later in pairwise(pauses)) < 0.1
