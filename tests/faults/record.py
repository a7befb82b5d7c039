"""One client's events, in the order in which it got them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.common.cursor import Cursor
from tests.faults.order import Content, Wanted
from tests.faults.shown import Shown

View = dict[str, Content]
"""The orders that a client shows, by id."""


Heard = tuple[Callable[[bytes], Shown], bytes]
"""Received bytes, and the function that parses them."""


@dataclass(slots=True)
class Segment:
    """From one load of the list to the next. A client ignores events that its list, read at ``start``, already has."""

    start: Cursor | None = None  # None: the list had not arrived yet when the segment ended
    snapshot: View = field(default_factory=dict)
    resync: str | None = None  # the reason that ended it; None: it lasted to the end of the audit
    _shown: list[Shown] = field(default_factory=list)
    _heard: list[Heard] = field(default_factory=list)

    def hear(self, heard: Heard) -> None:
        """Keep an envelope, to be parsed later: hundreds of clients share a processor with the stack."""
        self._heard.append(heard)

    @property
    def shown(self) -> list[Shown]:
        """The envelopes, in the order in which they came."""
        if self._heard:
            self._shown += [read(text) for read, text in self._heard]
            self._heard.clear()
        return self._shown

    @shown.setter
    def shown(self, shown: list[Shown]) -> None:
        self._shown = shown
        self._heard.clear()

    @property
    def last(self) -> Shown | None:
        """The last envelope."""
        if self._heard:
            read, text = self._heard[-1]
            return read(text)
        return self._shown[-1] if self._shown else None


@dataclass(slots=True)
class Record:
    """One client's whole history."""

    name: str
    wanted: Wanted
    segments: list[Segment] = field(default_factory=lambda: [Segment()])
    connects: int = 0
    recovered: int = 0
    complaints: list[str] = field(default_factory=list)  # violations of the protocol by the server

    @property
    def now(self) -> Segment:
        """The current segment."""
        return self.segments[-1]

    def loaded(self, start: Cursor, snapshot: View) -> None:
        """Note the list that this segment begins with."""
        self.now.start, self.now.snapshot = start, snapshot

    def resync(self, reason: str) -> None:
        """Note that the client was told to resync."""
        self.now.resync = reason
        self.segments.append(Segment())

    @property
    def resyncs(self) -> list[str]:
        """The reasons, in order."""
        return [segment.resync for segment in self.segments if segment.resync is not None]

    @property
    def newest(self) -> int:
        """The highest stamp at the end of the client's events, 0 where it is unknown."""
        now = self.now
        if now.start is None:
            return 0
        if (last := now.last) is not None:
            return 0 if last.content is None else last.content.stamp
        return max((order.stamp for order in now.snapshot.values()), default=0)

    def has(self, id: str) -> bool:
        """Tell whether the client shows this order, the last one written that matches its filter."""
        now = self.now
        if now.start is None:
            return False
        return id in now.snapshot or any(shown.id == id for shown in now.shown[-50:])
