"""Deals the tests to the processes of a run, so that they all have work until the end.

pytest-xdist gives each process an equal number of tests, in order. A process that has ended takes tests from the end of
another's queue. Without dealing, that is where those of the page are, which take longest; others then wait for minutes.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

# Seconds that a test takes, about. Those that are not named here take less than a tenth, and stand at the end.
SECONDS: Mapping[str, float] = {
    "web": 4.0,
    "alerts": 15.0,
    "faults": 5.0,
    "clients": 5.0,
    "abuse": 2.0,
    "e2e": 2.0,
    "deploy": 1.5,
    "snapshots": 3.0,
    "integration": 0.6,
    "access": 0.15,
}


class _File(NamedTuple):
    folder: str
    tests: list[pytest.Item]

    @property
    def seconds(self) -> float:
        return SECONDS.get(self.folder, 0.0) * len(self.tests)


def dealt(tests: Sequence[pytest.Item], processes: int, root: Path) -> list[pytest.Item]:
    """Return the tests in the order in which so many processes are to get them.

    The tests of a file stay together, for they share servers. Each process begins with another folder: where some wait
    for servers, others can use the CPU.
    """
    files = [_File(path.relative_to(root).parts[0], [*those]) for path, those in groupby(tests, lambda test: test.path)]
    long = sorted((each for each in files if each.seconds), key=lambda file: -file.seconds)
    short = [test for each in files if not each.seconds for test in each.tests]
    hands: list[list[_File]] = [[] for _ in range(processes)]
    for file in long:
        min(hands, key=lambda hand: sum(each.seconds for each in hand)).append(file)
    folders = list(SECONDS)
    order: list[pytest.Item] = []
    for number, hand in enumerate(hands):
        first = number * len(folders) // processes
        hand.sort(key=lambda file: (folders.index(file.folder) - first) % len(folders))
        begin, size = len(order), (len(tests) - len(order)) // (processes - number)
        order += [test for file in hand for test in file.tests]
        room = max(0, begin + size - len(order))
        order += short[:room]
        del short[:room]
    return order
