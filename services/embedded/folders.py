"""Folders that only their owner may enter: what lies in them are other people's orders."""

from pathlib import Path

_PRIVATE = 0o700


def private_folder(path: Path, *, known: frozenset[str] | None = None) -> Path:
    """Make the folder, and close one that is there to others; return it.

    With `known`, one that is there is left as it is where it holds anything else: it is then somebody's for other
    purposes, the home folder say.
    """
    path.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    if known is None or {entry.name for entry in path.iterdir()} <= known:
        path.chmod(_PRIVATE)
    return path
