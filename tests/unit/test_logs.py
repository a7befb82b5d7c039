"""Log lines are short, without data from clients, and not repeated without end."""

import json
import re
import subprocess
import sys

import pytest
import structlog

from services.common.logs import BURST, EVERY, RepeatLimiter, short_traceback

SCRIPT = """
import logging, sys, time
time.monotonic = lambda: 0.0  # a slow machine would write a line more each second
from services.common.logs import configure
from services.common.settings import LogFormat, LogLevel
configure(LogLevel.INFO, LogFormat(sys.argv[1]), "gateway")
import structlog
log = structlog.get_logger("test")

def fail(depth, password="do not show this"):
    if depth == 0:
        raise ValueError("bad \\x1b[31m \\udcff" + "x" * 100_000)
    fail(depth - 1)

took = []
for number in range(50):
    begin = time.thread_time()
    try:
        fail(900)
    except ValueError as error:
        log.error("A request failed", path="/\\udcff\\x1b" + "y" * 10_000, many=list(range(10_000)), exc_info=error)
        logging.getLogger("library").exception("It failed: %s", str(number) + "z" * 10_000)
    took.append(time.thread_time() - begin)
log.info("Still here", milliseconds=round(1000 * sorted(took)[25]))
"""


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_storm_of_errors_with_large_values_is_a_few_short_lines(format: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, format], capture_output=True, check=True, timeout=60, encoding="utf-8"
    )
    assert done.stderr == ""
    assert len(done.stdout) < 2 * BURST * 6_000
    assert max(map(len, done.stdout.splitlines())) < 6_000
    for secret in ("do not show this", "\x1b", "y" * 600, "z" * 600, "x" * 600):
        assert secret not in done.stdout
    assert done.stdout.count("A request failed") == BURST
    assert done.stdout.count("It failed") == BURST
    assert done.stdout.count("ValueError: bad") == 2 * BURST
    (milliseconds,) = re.findall(r"milliseconds\D*(\d+)", done.stdout)
    assert int(milliseconds) < 400  # of CPU, for most errors of 900 frames; with the values of variables it was seconds
    if format == "json":
        assert all(json.loads(line)["service"] == "gateway" for line in done.stdout.splitlines())


def passes(limiter: RepeatLimiter, event: str, method: str = "error") -> int | None:
    try:
        return int(limiter.process(None, method, {"event": event}).get("suppressed", 0))
    except structlog.DropEvent:
        return None


def test_a_line_that_comes_again_and_again_is_left_out_and_counted() -> None:
    now = 0.0
    limiter = RepeatLimiter(lambda: now)
    assert [passes(limiter, "one") for _ in range(BURST + 5)] == [0] * BURST + [None] * 5
    assert passes(limiter, "another") == 0
    assert passes(limiter, "one", "debug") == 0
    now += EVERY
    assert [passes(limiter, "one") for _ in range(2)] == [5, None]
    now += 1000 * EVERY
    assert [passes(limiter, "one") for _ in range(BURST + 1)] == [1, *[0] * (BURST - 1), None]


def test_kinds_of_lines_are_not_kept_without_end() -> None:
    limiter = RepeatLimiter(lambda: 0.0)
    for number in range(100_000):
        passes(limiter, str(number))
    assert len(limiter._kinds) <= 1000


def test_an_error_of_a_thousand_frames_is_shown_by_its_last() -> None:
    def deep(down: int) -> None:
        if down:
            deep(down - 1)
        else:
            raise ValueError("down here")

    try:
        deep(500)
    except ValueError as error:
        text = short_traceback((type(error), error, error.__traceback__))
    assert len(text.splitlines()) < 20
    assert text.endswith("ValueError: down here")
