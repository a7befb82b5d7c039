"""The share of time that the hypervisor gave to other machines."""

from pathlib import Path

import pytest

from bench.cpu import Stolen


def test_it_is_of_the_time_that_was_wanted_since(tmp_path: Path) -> None:
    accounts = tmp_path / "stat"
    accounts.write_text("cpu  100 10 50 5000 20 1 9 30 0 0\ncpu0 1 2 3\n")
    stolen = Stolen(accounts)
    assert stolen.share() == 0
    accounts.write_text("cpu  140 20 75 9000 90 2 23 40 0 0\ncpu0 1 2 3\n")  # 90 used, 10 stolen
    assert stolen.share() == 0.1


@pytest.mark.parametrize("text", [None, "", "cpu  1 2 3\n"])
def test_without_accounts_it_is_zero(tmp_path: Path, text: str | None) -> None:
    accounts = tmp_path / "stat"
    if text is not None:
        accounts.write_text(text)
    assert Stolen(accounts).share() == 0
