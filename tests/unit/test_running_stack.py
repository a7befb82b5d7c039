"""Commands find the `make run` of their folder while it runs, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.commands.target import find_target
from services.common.running_stack import FILE, AlreadyRunning, RunningStack, claimed, running_stack
from tests.service_process import ROOT

STACK = RunningStack("mongodb://127.0.0.1:4711/realtime_orders?replicaSet=rs0", None)


def test_a_stack_is_found_while_it_runs_and_not_afterwards(tmp_path: Path) -> None:
    assert running_stack(tmp_path) is None
    with claimed(tmp_path) as announce:
        assert running_stack(tmp_path) is None  # its servers are still to come
        announce(STACK)
        assert running_stack(tmp_path) == STACK
        with pytest.raises(AlreadyRunning, match=str(tmp_path)), claimed(tmp_path):
            pass
        assert running_stack(tmp_path) == STACK
    assert running_stack(tmp_path) is None
    assert not (tmp_path / FILE).exists()


def test_the_leftovers_of_a_killed_stack_are_ignored(tmp_path: Path) -> None:
    code = (
        "import os, pathlib; from services.common.running_stack import *; c = claimed(pathlib.Path('.'));"
        "c.__enter__()(RunningStack('mongodb://127.0.0.1:1/', None)); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert killed.returncode == -9
    assert (tmp_path / FILE).exists()
    assert running_stack(tmp_path) is None
    with claimed(tmp_path) as announce:
        announce(STACK)
        assert running_stack(tmp_path) == STACK


def test_a_command_says_which_mongodb_it_takes_and_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert find_target().sentence == (
        f"MongoDB at localhost:27017, the default, as MONGODB_URI is not set and no `make run` uses {tmp_path}"
    )
    with claimed(tmp_path) as announce:
        announce(STACK)
        embedded = "the embedded MongoDB of `make run`, at 127.0.0.1:4711"
        assert find_target() == (STACK.mongodb_uri, embedded)
        monkeypatch.setenv("MONGODB_URI", str(STACK.mongodb_uri))  # as `make run` does for its own set-up
        assert find_target() == (STACK.mongodb_uri, embedded)
        monkeypatch.setenv("MONGODB_URI", "mongodb://me:secret@db1,db2:4/shop")
        uri, sentence = find_target()
        assert uri == "mongodb://me:secret@db1,db2:4/shop"
        assert sentence == (
            "MongoDB at db1,db2:4, which MONGODB_URI names, not the one of the `make run` that runs here, "
            "at 127.0.0.1:4711"
        )
