"""Tells the commands of a folder where the `make run` of the same folder has its servers, for as long as it runs."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "running.json"


@dataclass(frozen=True)
class RunningStack:
    """Where the servers are; None for one that is not the stack's own."""

    mongodb_uri: str | None
    redis_url: str | None


class AlreadyRunning(Exception):
    """A `make run` has this folder already."""


@contextmanager
def claimed(folder: Path) -> Iterator[Callable[[RunningStack], None]]:
    """Have the folder for us alone; give the function that announces the servers. Raise AlreadyRunning.

    The lock, not the file, says that we run: the system takes it back however we end.
    """
    path = folder / FILE
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"Another `make run` has the folder {folder}") from error

        def announce(stack: RunningStack) -> None:
            file.truncate(0)
            json.dump(asdict(stack), file)
            file.flush()

        try:
            yield announce
        finally:
            path.unlink(missing_ok=True)


def running_stack(folder: Path) -> RunningStack | None:
    """Return what the `make run` of this folder has announced, or None where none runs."""
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return RunningStack(**json.load(file))
    except (OSError, ValueError, TypeError):  # none, or one that is just beginning
        pass
    return None
