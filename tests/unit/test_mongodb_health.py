"""An outage of MongoDB is what failed, not what was slow once; it is logged once, and so is its end."""

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from services.gateway.mongodb_health import MongodbHealth
from tests.waiting import until

SLOW = TimeoutError("no answer in time")
REFUSED = OSError("connection refused")


@pytest.fixture(autouse=True)
def _fresh_loggers() -> None:
    structlog.reset_defaults()


def test_one_slow_answer_is_no_outage_and_two_in_a_row_are() -> None:
    with capture_logs() as lines:
        known = MongodbHealth()
        known.answered()
        for _ in range(5):
            known.slow(SLOW, "silent")
            assert known.state == "ok"
            known.answered()
        assert not lines
        known.slow(SLOW, "silent")
        known.slow(SLOW, "silent")
        assert (known.state, known.dependency.works(), known.dependency.outages()) == ("silent", False, 1)
    assert [line["event"] for line in lines] == ["MongoDB does not answer; REST is unavailable until it does"]


def test_a_failure_is_an_outage_at_once_and_only_its_beginning_and_end_are_logged() -> None:
    with capture_logs() as lines:
        known = MongodbHealth()
        assert known.state == "not reached yet"
        known.answered()
        for _ in range(3):
            known.failed(REFUSED, "refused")
        known.answered()
        known.answered()
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "MongoDB does not answer; REST is unavailable until it does"),
        ("info", "MongoDB answers again"),
    ]


async def test_a_failure_that_a_request_meets_is_followed_by_checks_at_once() -> None:
    known, checks = MongodbHealth(), 0

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks in (1, 4):
            known.answered()

    task = asyncio.create_task(known.keep_checked(check))
    try:
        await until(lambda: known.is_up, "the first check")
        known.failed(REFUSED, "refused")
        await until(lambda: known.is_up, "its return is noticed", 1.9)  # sooner than between two calm checks
    finally:
        task.cancel()
