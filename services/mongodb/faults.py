"""Says what an error of the change stream means: one pure function, one table."""

import re
from collections.abc import Collection
from enum import Enum


class FaultKind(Enum):
    """What the watcher does about an error."""

    RETRY = "retry"  # open again after the last change, with backoff, for ever
    HISTORY_LOST = "history_lost"  # the oplog no longer reaches back to the token: new epoch
    TOKEN_UNKNOWN = "token_unknown"  # the token is not of this history: new epoch
    UNREADABLE = "unreadable"  # this one event is too large or not to be understood: step over it without its images
    NO_REPLICA_SET = "no_replica_set"  # change streams cannot work on this server


# Seen on MongoDB 6.0.5 unless said otherwise; names are those of the server's error_codes.yml.
_OPENING_WITH_TOKEN = {
    9: FaultKind.TOKEN_UNKNOWN,  # FailedToParse: the token is not hexadecimal
    15: FaultKind.TOKEN_UNKNOWN,  # Overflow: the token is cut short
    40647: FaultKind.TOKEN_UNKNOWN,  # the token has the wrong type
    50811: FaultKind.TOKEN_UNKNOWN,  # the token's bytes do not decode
}
_ANYWHERE = {
    260: FaultKind.TOKEN_UNKNOWN,  # InvalidResumeToken
    280: FaultKind.TOKEN_UNKNOWN,  # ChangeStreamFatalError: the token was not found
    286: FaultKind.HISTORY_LOST,  # ChangeStreamHistoryLost
    # CappedPositionLost carries no label: a live cursor was overtaken by the oplog's end. Opening again answers 286.
    136: FaultKind.RETRY,
    10334: FaultKind.UNREADABLE,  # BSONObjectTooLarge
    40573: FaultKind.NO_REPLICA_SET,  # "The $changeStream stage is only supported on replica sets"
}


_CANCELLED = "operation cancelled"
_SETTINGS = re.compile(r" \(configured timeouts: [^)]*\)|, Timeout: .*", re.DOTALL)


def explain(message: str) -> str:
    """Return the driver's message without its settings; where it only says that the driver gave up, say why."""
    return _SETTINGS.sub("", message).replace(
        _CANCELLED, "MongoDB stopped answering the driver's heartbeats, so the driver closed the connection"
    )


def classify(code: int | None, labels: Collection[str], *, opening_with_token: bool) -> FaultKind:
    """Return what to do about a server error with this code and these labels.

    The same code means different things at different places: a token is judged only while the stream is opened with
    it. Whatever is not known to be final is tried again, since to stop is the one thing that a watcher may not do.
    """
    if code is None:
        return FaultKind.RETRY
    if opening_with_token and code in _OPENING_WITH_TOKEN:
        return _OPENING_WITH_TOKEN[code]
    known = _ANYWHERE.get(code)
    if known is not None:
        return known
    return FaultKind.HISTORY_LOST if "NonResumableChangeStreamError" in labels else FaultKind.RETRY
