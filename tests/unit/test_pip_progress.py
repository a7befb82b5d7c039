"""What `make setup` shows of pip's output: one moving line on a terminal, plain lines elsewhere."""

import os
import pty
import subprocess

import pytest

from tests.service_process import ROOT
from tests.waiting import HANGS

COMMAND = ["awk", "-f", str(ROOT / "tools" / "pip-progress.awk")]
ONE = "Collecting aiohttp==3.14\n"
MORE = "Processing ./cache/redis-7.whl\nInstalling collected packages: aiohttp, redis\nERROR: no space\n"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", "    0 packages\n"),
        (ONE, "    1 package\n"),
        (ONE + MORE, "ERROR: no space\n    2 packages\n"),
    ],
)
def test_without_a_terminal_only_errors_and_the_end_are_written(said: str, shown: str) -> None:
    run = subprocess.run(COMMAND, input=said, capture_output=True, text=True, check=True, timeout=HANGS)
    assert run.stdout == shown


def test_on_a_terminal_each_package_overwrites_the_one_before() -> None:
    ours, theirs = pty.openpty()
    subprocess.run(COMMAND, input=(ONE + MORE).encode(), stdout=theirs, check=True, timeout=HANGS)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert shown.split("\r")[1:3] == ["    1 package: aiohttp==3.14\033[K", "    2 packages: redis-7.whl\033[K"]
    assert shown.endswith("    2 packages\r\n")
