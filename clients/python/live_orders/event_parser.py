"""Parses a stream of Server-Sent Events as the HTML standard defines it."""

from collections.abc import Iterator
from typing import NamedTuple

LONGEST_EVENT = 32 * 1024 * 1024  # bytes; an order may have 16 MiB, and its JSON more


class Event(NamedTuple):
    """One event; ``data`` is empty where a heartbeat only moves the id."""

    name: str
    data: str
    id: str | None


class EventTooLong(ValueError):
    """The server sent what cannot be an event of ours."""


class EventParser:
    """Takes the bytes as they come, returns the events that are complete, and remembers the server's `retry`."""

    def __init__(self) -> None:
        self.retry: float | None = None  # seconds
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Return the events that end in this piece; raise EventTooLong."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if self._size + len(self._rest) > LONGEST_EVENT:
            raise EventTooLong(f"more than {LONGEST_EVENT} bytes")
        for line in lines:
            event = self._take(line.removesuffix(b"\r").decode(errors="replace"))
            if event is not None:
                yield event

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        self._size += len(line)
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isdecimal():
            self.retry = int(value) / 1000
        return None

    def _finish(self) -> Event | None:
        event = Event(self._name or "message", "\n".join(self._data), self._id)
        is_worth_it = bool(self._data) or self._id is not None
        self._name, self._data, self._id, self._size = "", [], None, 0
        return event if is_worth_it else None
