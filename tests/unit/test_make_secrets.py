"""The secrets of the compose stack: random, kept, and for each service its own only."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.commands.make_secrets import ROTATED, SERVICES, make
from tests.waiting import HANGS


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
        timeout=HANGS,
    )
    assert done.returncode == 1
    assert "setup/admin_password must hold letters and digits only" in done.stderr


def test_no_file_can_be_changed_by_its_reader(tmp_path: Path) -> None:
    make(tmp_path)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o444}


def users_in(text: str) -> list[str]:
    return re.findall(r"user (\S+) reset on", text)


@pytest.mark.parametrize("name", SERVICES)
def test_a_rotation_gives_a_service_another_user_which_is_valid_before_it_is_used(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    before = held(tmp_path)
    old = before[f"setup/{name}_password"]
    make(tmp_path, add=name)
    added = held(tmp_path)
    new, _, kept = added[f"setup/{name}_password"].partition(",")
    assert kept == old
    assert re.fullmatch(rf"{name}-2:[0-9a-f]{{48}}", new)
    assert {name, f"{name}-2"} < set(users_in(added["valkey/users.acl"]))
    assert added[f"{name}/mongodb_uri"] == before[f"{name}/mongodb_uri"]  # the databases may not know the new one yet
    make(tmp_path, use=name)
    used = held(tmp_path)
    assert new in used[f"{name}/mongodb_uri"]
    assert new in used[f"{name}/redis_url"]
    assert used["valkey/users.acl"] == added["valkey/users.acl"]  # old processes still run
    make(tmp_path, withdraw=name)
    withdrawn = held(tmp_path)
    assert withdrawn[f"setup/{name}_password"] == new
    assert set(users_in(withdrawn["valkey/users.acl"])) == set(users_in(before["valkey/users.acl"])) - {name} | {
        f"{name}-2"
    }
    for step in ("add", "use", "withdraw"):  # the next one takes the first user again
        make(tmp_path, **{step: name})
    again = held(tmp_path)
    assert f"//{name}:" in again[f"{name}/mongodb_uri"]
    assert again[f"setup/{name}_password"] != old
    assert users_in(again["valkey/users.acl"]) == users_in(before["valkey/users.acl"])


@pytest.mark.parametrize("name", ROTATED)
@pytest.mark.parametrize("interrupted_after", range(4))
def test_an_interrupted_rotation_goes_on_with_the_same_new_password(
    tmp_path: Path, name: str, interrupted_after: int
) -> None:
    make(tmp_path)
    steps = ("add", "use", "withdraw")
    for step in steps[:interrupted_after]:
        make(tmp_path, **{step: name})
        assert make(tmp_path, **{step: name}) == []  # each may be repeated
        assert make(tmp_path) == []  # `docker compose up` in between changes nothing
    new = held(tmp_path)[f"setup/{name}_password"].partition(",")[0]
    for step in steps:
        make(tmp_path, **{step: name})
    after = held(tmp_path)[f"setup/{name}_password"]
    assert "," not in after
    assert (after == new) == (interrupted_after in {1, 2})


def test_the_administrators_password_keeps_its_user_and_valkey_takes_both_meanwhile(tmp_path: Path) -> None:
    make(tmp_path)
    old = held(tmp_path)["setup/admin_password"]
    make(tmp_path, add="admin")
    found = held(tmp_path)
    new, _, kept = found["setup/admin_password"].partition(",")
    assert (kept, ":" in new) == (old, False)
    assert f"admin:{new}@" in found["setup/mongodb_uri"]
    assert len(re.findall("#", re.findall("user operator .*", found["valkey/users.acl"])[0])) == 2
