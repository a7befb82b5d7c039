"""`make demo-write` without a MongoDB: one sentence that says so, and exit code 1."""

from pathlib import Path

import pytest

from services.commands import demo_write, direct_writes
from services.embedded.ports import free_port


def test_a_mongodb_that_does_not_answer_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = f"127.0.0.1:{free_port()}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGODB_URI", f"mongodb://me:secret@{host}/orders?replicaSet=rs0")
    monkeypatch.setattr(direct_writes, "PATIENCE_MS", 100)
    assert demo_write.main() == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"Nothing was written: no answer from MongoDB at {host}, which MONGODB_URI names "
        f"({host}: [Errno 111] Connection refused). Start `make run`, or set MONGODB_URI.\n"
    )
