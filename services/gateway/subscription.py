"""One client's place in the stream."""

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from services.common.cursor import Cursor, Position
from services.common.normalize import EpochReason
from services.gateway.audience import Audience, Rights, view_of
from services.gateway.filters import EVERYTHING, Interest
from services.gateway.wire.form import Form

if TYPE_CHECKING:
    from services.gateway.group import Group


class ResyncReason(StrEnum):
    """Why a client must resync, where the epoch's own reason is not known."""

    HISTORY_LOST = "history_lost"  # the changes after the cursor are no longer kept anywhere
    HISTORY_UNAVAILABLE = "history_unavailable"  # MongoDB may have them, but does not answer
    REPLAY_TOO_LONG = "replay_too_long"  # the cursor is too old, or too many changes follow it, for a replay
    TOO_MANY_REPLAYS = "too_many_replays"  # too many other clients, in all or of its account, are being replayed
    EPOCH_UNKNOWN = "epoch_unknown"  # the cursor is of an epoch that this stream has not had, or has forgotten
    INVALID_CURSOR = "invalid_cursor"  # it is not a cursor
    INVALID_SESSION = "invalid_session"  # the session id was not issued here or to this subject, or has been altered
    RIGHTS_CHANGED = "rights_changed"  # the client's token gives it other orders than before
    SNAPSHOT_TOO_OLD = "snapshot_too_old"  # MongoDB forgot the time of a snapshot before the client had taken all of it
    RIGHTS_UNDECIDED = "rights_undecided"  # a change without images: it may or may not be of an order of the client's


Reason = ResyncReason | EpochReason
"""Why a client must resync."""


class Outlet(Protocol):
    """The hub's end of one client's connection. An exception from it costs the client this connection."""

    @property
    def client(self) -> str:
        """The public id of the connection, for the log."""

    @property
    def form(self) -> Form:
        """The form in which events must be encoded; changes only while the client is paused."""

    @property
    def descriptor(self) -> int | None:
        """The file descriptor that takes the same bytes as ``write`` while the client is live, or None."""

    def write(self, data: bytes | memoryview) -> None:
        """Send complete encoded events; may call ``pause``."""

    def resync(self, reason: Reason, cursor: Cursor, incident: str) -> None:
        """Tell the client to reload, because of ``reason``; later events follow ``cursor``.

        ``incident`` is the id under which it is logged.
        """

    def status(self, stale: str | None, cursor: Cursor) -> None:
        """Notify the client why its data may be old, or with None that it is not; ``cursor`` is its position.

        Not called while the client is paused.
        """

    def abort(self) -> None:
        """Cut the connection and discard unsent bytes: an error of ours has spoiled it."""


class Mode(Enum):
    """How a client gets its events."""

    LIVE = "live"  # as they arrive
    PAUSED = "paused"  # backpressure, not resumed yet, or held for a snapshot: later, from its own position
    FROM_RING = "replay"  # page by page; `replay` is its label in the metrics
    AHEAD = "ahead"  # the stream has not reached its position yet
    BEHIND = "behind"  # from the log in Redis or the oplog, until the ring holds its position

    __hash__ = object.__hash__  # the one of Enum is written in Python, and each connect needs a dozen


class Subscription:
    """One client's place in the stream. While it is live, `position` is not kept: ask `Hub.position`.

    ``group`` fixes the form and the audience of its events, from when it resumes until it pauses. While it is ``held``,
    it does not resume: the client is being sent the snapshot that the events follow.
    """

    __slots__ = (
        "account",
        "counted_as",
        "group",
        "held",
        "interest",
        "mode",
        "notified_stale",
        "outlet",
        "position",
        "rights",
    )

    group: "Group"

    def __init__(
        self, outlet: Outlet, interest: Interest, position: Position, account: str = "", rights: Rights = EVERYTHING
    ) -> None:
        self.outlet = outlet
        self.account = account  # against which its cost is counted
        self.interest = interest
        self.rights = rights
        self.position = position
        self.mode = Mode.PAUSED
        self.held = False
        self.counted_as = outlet.form, Mode.PAUSED  # in the hub's census
        self.notified_stale: str | None = None

    @property
    def audience(self) -> Audience:
        """What it is to be shown."""
        return Audience(self.interest, self.rights)

    @property
    def view(self) -> str:
        """What its cursors tell of its rights."""
        return view_of(self.rights)

    def is_behind(self) -> bool:
        """Tell whether it must be served from the log in Redis or the oplog."""
        return self.mode is Mode.BEHIND


class ResumePoint(NamedTuple):
    """Where a client that came with a cursor can resume; with a ``reason``, it has missed something."""

    position: Position
    reason: Reason | None
