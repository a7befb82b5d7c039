"""Tests are dealt to processes so that each has long ones first, and files stay together."""

from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from tests.dealing import dealt

ROOT = Path("/tests")


class Case(NamedTuple):
    path: Path
    number: int


def made(**files: int) -> list[pytest.Item]:
    tests = [
        Case(ROOT / folder / f"test_{name}.py", number)
        for folder, count in files.items()
        for name in "ab"
        for number in range(count)
    ]
    return cast("list[pytest.Item]", tests)


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_each_test_is_dealt_once_and_only_short_files_are_divided(processes: int) -> None:
    tests = made(access=100, unit=90, web=5, faults=4, conformance=50)
    order = dealt(tests, processes, ROOT)
    assert sorted(order) == sorted(tests)  # type: ignore[type-var]
    runs = [path.parent.name for path, _ in groupby(order, lambda test: test.path)]
    assert all(runs.count(folder) == 2 for folder in ("access", "web", "faults"))


def test_each_process_begins_with_long_ones_and_ends_with_short_ones() -> None:
    tests = made(integration=10, unit=40, web=4)
    order = dealt(tests, 2, ROOT)
    halves = order[: len(tests) // 2], order[len(tests) // 2 :]
    for half in halves:
        folders = [path.parent.name for path, _ in groupby(half, lambda test: test.path)]
        assert "unit" not in folders[:2]
        assert folders[-1] == "unit"
        assert "web" in folders[:2]
    assert halves[0][0].path.parent != halves[1][0].path.parent
