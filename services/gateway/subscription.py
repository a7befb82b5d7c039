"""One client's place in the stream."""

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from services.common.cursor import Cursor, Position
from services.gateway.filters import Interest
from services.gateway.wire.form import Form

if TYPE_CHECKING:
    from services.gateway.group import Group


class ResyncReason(StrEnum):
    """Why a client is told to load anew, where the epoch's own reason is not known."""

    HISTORY_LOST = "history_lost"  # what followed the cursor is kept nowhere any more
    HISTORY_UNAVAILABLE = "history_unavailable"  # MongoDB has it perhaps, but does not answer
    REPLAY_TOO_LONG = "replay_too_long"  # more has followed the cursor, or longer ago, than is replayed from the oplog
    TOO_MANY_REPLAYS = "too_many_replays"  # others, or others from the same address, are served from the oplog now
    EPOCH_UNKNOWN = "epoch_unknown"  # the cursor is of an epoch that this stream has not had, or has forgotten
    INVALID_CURSOR = "invalid_cursor"  # it is no cursor at all
    INVALID_SESSION = "invalid_session"  # the session id was not given out here, or has been changed


class Outlet(Protocol):
    """The hub's end of one client's connection. What is raised here costs the client this connection."""

    @property
    def form(self) -> Form:
        """How events are to be encoded; changes only while the client is paused."""

    @property
    def descriptor(self) -> int | None:
        """The file descriptor that takes what ``write`` takes, while the client is live; None where there is none."""

    def write(self, data: bytes | memoryview) -> None:
        """Send complete encoded events; may call ``pause`` meanwhile."""

    def resync(self, reason: str, cursor: Cursor) -> None:
        """Tell the client to load anew, because of ``reason``; what follows is after ``cursor``."""

    def status(self, stale: str | None, cursor: Cursor) -> None:
        """Tell the client why what it sees may be old, or with None that it is not; ``cursor`` is where it is.

        Not called while the client is paused.
        """

    def abort(self) -> None:
        """Cut the connection, whatever is unsent: an error of ours has spoiled it."""


class Mode(Enum):
    """How a client gets its events."""

    LIVE = "live"  # as they come
    PAUSED = "paused"  # its connection takes no more: later, from its own position
    REPLAY = "replay"  # from the gateway's own log, page by page
    AHEAD = "ahead"  # the stream has not reached its position yet
    BEHIND = "behind"  # from the log in Redis, until the gateway's own log holds its position


class Subscription:
    """One client's place in the stream. While it is live, its position is the stream's own.

    ``group`` says in which form and by which interest it is sent what, from when it resumes until it pauses.
    """

    __slots__ = ("address", "group", "interest", "mode", "notified_stale", "outlet", "position")

    group: "Group"

    def __init__(self, outlet: Outlet, interest: Interest, position: Position, address: str = "") -> None:
        self.outlet = outlet
        self.address = address  # what it costs MongoDB is counted by it
        self.interest = interest
        self.position = position
        self.mode = Mode.PAUSED
        self.notified_stale: str | None = None

    def is_behind(self) -> bool:
        """Tell whether it is to be served from the log in Redis."""
        return self.mode is Mode.BEHIND


class ResumePoint(NamedTuple):
    """Where a client that came with a cursor can go on; with a ``reason``, it has missed something."""

    position: Position
    reason: str | None
