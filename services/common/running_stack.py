"""Tells commands where the servers of the `make run` in the same folder are, as long as it runs."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "running.json"


@dataclass(frozen=True)
class RunningStack:
    """The URIs of the servers; None for one that is not embedded."""

    mongodb_uri: str | None
    redis_url: str | None


class AlreadyRunning(Exception):
    """Another `make run` uses this folder."""


@contextmanager
def claimed(folder: Path) -> Iterator[Callable[[RunningStack], None]]:
    """Lock the folder; yield the function that announces the servers. Raise AlreadyRunning.

    The lock, not the file, shows that we run: the system releases it however we end.
    """
    path = folder / FILE
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"Another `make run` uses the folder {folder}") from error

        def announce(stack: RunningStack) -> None:
            file.truncate(0)
            json.dump(asdict(stack), file)
            file.flush()

        try:
            yield announce
        finally:
            path.unlink(missing_ok=True)


def running_stack(folder: Path) -> RunningStack | None:
    """Return the servers announced by the `make run` of this folder, or None if none runs."""
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return RunningStack(**json.load(file))
    except (OSError, ValueError, TypeError):  # none, or one that is just starting
        pass
    return None
