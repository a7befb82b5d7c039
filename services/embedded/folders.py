"""Folders that only their owner may access, because they hold other people's orders."""

from pathlib import Path

_PRIVATE = 0o700


def private_folder(path: Path, *, known: frozenset[str] | None = None) -> Path:
    """Create the folder, or make an existing one private; return it.

    With `known`, an existing folder that holds anything else is left as it is: it serves another purpose, as a home
    folder does.
    """
    path.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    if known is None or {entry.name for entry in path.iterdir()} <= known:
        path.chmod(_PRIVATE)
    return path
