"""The secrets of the compose stack: random, kept, and for each service its own only."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.commands.make_secrets import make


def held(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_each_service_gets_the_secrets_that_it_needs_and_no_others(tmp_path: Path) -> None:
    make(tmp_path)
    found = held(tmp_path)
    assert set(found) == {
        *("setup/admin_password", "setup/watcher_password", "setup/gateway_password", "setup/mongodb_uri"),
        *("watcher/mongodb_uri", "watcher/redis_url", "gateway/mongodb_uri", "gateway/redis_url"),
        *("valkey/users.acl", "grafana/admin_password"),
    }
    passwords = {
        "admin": found["setup/admin_password"],
        "watcher": found["setup/watcher_password"],
        "gateway": found["setup/gateway_password"],
        "grafana": found["grafana/admin_password"],
    }
    assert len(set(passwords.values())) == 4
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in passwords.values())

    def knows(folder: str) -> set[str]:
        text = "".join(content for name, content in found.items() if name.startswith(f"{folder}/"))
        return {user for user, password in passwords.items() if password in text}

    assert {folder: knows(folder) for folder in ("setup", "watcher", "gateway", "valkey", "grafana")} == {
        "setup": {"admin", "watcher", "gateway"},
        "watcher": {"watcher"},
        "gateway": {"gateway"},
        "valkey": set(),  # hashes
        "grafana": {"grafana"},
    }


def test_a_second_time_changes_nothing_and_another_stack_has_others(tmp_path: Path) -> None:
    make(tmp_path / "one")
    before = held(tmp_path / "one")
    assert make(tmp_path / "one") == []
    assert held(tmp_path / "one") == before
    make(tmp_path / "other")
    assert not set(before.values()) & set(held(tmp_path / "other").values())


def test_a_password_of_ones_own_is_used(tmp_path: Path) -> None:
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup" / "gateway_password").write_text("mine\n")
    make(tmp_path)
    assert "gateway:mine@" in held(tmp_path)["gateway/redis_url"]
    assert "gateway:mine@" in held(tmp_path)["gateway/mongodb_uri"]


@pytest.mark.parametrize("password", ["", "a b", "a@b", "a/b", "ä"])
def test_a_password_that_would_break_an_address_is_refused_by_its_file(tmp_path: Path, password: str) -> None:
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup" / "admin_password").write_text(password)
    done = subprocess.run(
        [sys.executable, "-m", "services.commands.make_secrets", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    assert "setup/admin_password must hold letters and digits only" in done.stderr


def test_no_file_can_be_changed_by_its_reader(tmp_path: Path) -> None:
    make(tmp_path)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o444}
