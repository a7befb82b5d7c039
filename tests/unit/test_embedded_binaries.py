"""The message when a server's program or one of its libraries is missing."""

import asyncio
import os
from pathlib import Path

import pytest

from services.embedded import binaries
from services.embedded.binaries import MONGOD, VALKEY, Image, Way, locate, mongod_binary, valkey_binary
from services.embedded.errors import EmbeddedError
from services.embedded.mongod import Mongod
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from tests.service_process import ROOT


def _program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_chosen_program_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = _program(tmp_path / "mongod", "")
    monkeypatch.setenv("MONGOD_BIN", str(program))
    assert mongod_binary() == program


def test_a_chosen_program_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALKEY_BIN", "/nowhere/valkey-server")
    with pytest.raises(EmbeddedError, match="VALKEY_BIN names /nowhere/valkey-server"):
        valkey_binary()


def test_without_a_wheel_the_path_is_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VALKEY_BIN", raising=False)
    monkeypatch.setattr(binaries, "_in_package", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = _program(tmp_path / "redis-server", "")
    assert valkey_binary() == program


def test_without_any_program_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MONGOD_BIN", raising=False)
    monkeypatch.setattr(binaries, "_in_package", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match="set MONGODB_URI to a replica set of your own"):
        mongod_binary()


def test_a_wheel_without_its_run_bit_gets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MONGOD_BIN", raising=False)
    program = _program(tmp_path / "mongod", "")
    program.chmod(0o644)
    monkeypatch.setattr(binaries, "_in_package", lambda *_: program)
    assert mongod_binary() == program
    assert program.stat().st_mode & 0o111 == 0o111


def test_a_missing_library_and_its_package_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sentence = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    monkeypatch.setenv("MONGOD_BIN", str(_program(tmp_path / "mongod", f"echo '{sentence}' >&2; exit 127")))
    with pytest.raises(EmbeddedError, match=r"the library libcurl\.so\.4, .*: install libcurl4"):
        asyncio.run(Mongod(folder=tmp_path, port=free_port()).start())


def test_the_last_words_of_a_server_that_dies_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MONGOD_BIN", str(_program(tmp_path / "mongod", "echo no such option; exit 2")))
    with pytest.raises(EmbeddedError, match="MongoDB ended with code 2: no such option"):
        asyncio.run(Mongod(folder=tmp_path, port=free_port()).start())


@pytest.mark.parametrize(
    ("way", "has_program", "docker", "expected"),
    [
        (Way.AUTO, True, None, "program"),
        (Way.AUTO, True, "echo '[]'", "program"),
        (Way.AUTO, False, "echo '[]'", "image"),
        (Way.AUTO, False, "exit 1", "and Docker does not answer: install and start Docker, or set MONGODB_URI"),
        (Way.AUTO, False, None, "and there is no Docker: install and start Docker, or set MONGODB_URI"),
        (Way.WHEELS, True, "echo '[]'", "program"),
        (Way.WHEELS, False, "echo '[]'", "set EMBEDDED_SERVERS to auto or docker, or set MONGODB_URI"),
        (Way.DOCKER, True, "echo '[]'", "image"),
        (Way.DOCKER, True, None, "EMBEDDED_SERVERS=docker, but there is no Docker: install and start Docker"),
    ],
)
def test_a_server_is_a_program_else_a_container_else_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Way, has_program: bool, docker: str | None, expected: str
) -> None:
    monkeypatch.delenv("MONGOD_BIN", raising=False)
    monkeypatch.setattr(binaries, "_in_package", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = _program(tmp_path / "mongod", "") if has_program else None
    if docker is not None:
        _program(tmp_path / "docker", docker)
    if expected in {"program", "image"}:
        assert locate(MONGOD, way) == (program if expected == "program" else Image("mongo:7.0"))
    else:
        with pytest.raises(EmbeddedError) as refused:
            locate(MONGOD, way)
        assert expected in str(refused.value)
        assert str(refused.value).count(". ") == 0  # one sentence


def test_a_container_is_published_on_loopback_only_and_writes_as_we_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _program(tmp_path / "docker", "echo '[]'")
    monkeypatch.setenv("PATH", str(tmp_path))
    for server in (
        Mongod(folder=tmp_path / "mongodb", port=4711, way=Way.DOCKER),
        Valkey(folder=tmp_path / "valkey", port=4711, way=Way.DOCKER),
    ):
        argv = server.argv()
        assert argv[argv.index("--publish") + 1] == "127.0.0.1:4711:4711"
        assert argv[argv.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
        assert "--rm" in argv
        assert argv[argv.index("--port") + 1] == "4711"
    _program(tmp_path / "docker", """echo '["name=seccomp","name=rootless"]'""")
    assert "--user" not in Mongod(folder=tmp_path / "mongodb", port=4711, way=Way.DOCKER).argv()


def test_the_images_are_those_of_compose() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    for wanted in (MONGOD, VALKEY):
        assert f"image: {wanted.image}\n" in compose
