"""Classifies the errors of the change stream: one pure function, one table."""

import re
from collections.abc import Collection
from enum import Enum


class FaultKind(Enum):
    """The kinds of error, by what the watcher does about them."""

    RETRY = "retry"  # open again after the last change, with backoff, for ever
    HISTORY_LOST = "history_lost"  # the oplog no longer reaches back to the token: new epoch
    TOKEN_UNKNOWN = "token_unknown"  # the token does not belong to this history: new epoch
    UNREADABLE = "unreadable"  # this event is too large or cannot be decoded: step over it without its images
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
    # CappedPositionLost carries no label: the end of the oplog overtook a live cursor. Reopening gives 286.
    136: FaultKind.RETRY,
    10334: FaultKind.UNREADABLE,  # BSONObjectTooLarge
    40573: FaultKind.NO_REPLICA_SET,  # "The $changeStream stage is only supported on replica sets"
}


_CANCELLED = "operation cancelled"
_SETTINGS = re.compile(r" \(configured timeouts: [^)]*\)|, Timeout: .*", re.DOTALL)


def explain(message: str) -> str:
    """Return the driver's message without its settings; where it says only that the driver gave up, add why."""
    return _SETTINGS.sub("", message).replace(
        _CANCELLED, "MongoDB stopped answering the driver's heartbeats, so the driver closed the connection"
    )


def classify(code: int | None, labels: Collection[str], *, opening_with_token: bool) -> FaultKind:
    """Return what to do about a server error with this code and these labels.

    The meaning of a code depends on the command: a token is checked only when the stream is opened with it. Errors
    that are not known to be final are retried, because a watcher must never stop.
    """
    if code is None:
        return FaultKind.RETRY
    if opening_with_token and code in _OPENING_WITH_TOKEN:
        return _OPENING_WITH_TOKEN[code]
    known = _ANYWHERE.get(code)
    if known is not None:
        return known
    return FaultKind.HISTORY_LOST if "NonResumableChangeStreamError" in labels else FaultKind.RETRY
