"""The meaning of each change stream error for the watcher. The codes are those of the server's error_codes.yml."""

import pytest

from services.mongodb.faults import FaultKind, classify, explain

FINAL = ("NonResumableChangeStreamError",)
RESUMABLE = ("ResumableChangeStreamError",)


@pytest.mark.parametrize(
    ("code", "labels", "opening", "fault"),
    [
        # Errors without an answer of the server: the network, a timeout, no primary.
        (None, (), False, FaultKind.RETRY),
        (None, (), True, FaultKind.RETRY),
        # The token itself is at fault, but only where it was judged; seen with tokens cut short or of another kind.
        (9, (), True, FaultKind.TOKEN_UNKNOWN),  # FailedToParse
        (15, (), True, FaultKind.TOKEN_UNKNOWN),  # Overflow
        (40647, (), True, FaultKind.TOKEN_UNKNOWN),
        (50811, (), True, FaultKind.TOKEN_UNKNOWN),
        (9, (), False, FaultKind.RETRY),
        (15, (), False, FaultKind.RETRY),
        (40647, (), False, FaultKind.RETRY),
        (50811, (), False, FaultKind.RETRY),
        (260, FINAL, True, FaultKind.TOKEN_UNKNOWN),  # InvalidResumeToken
        (260, (), False, FaultKind.TOKEN_UNKNOWN),
        (280, FINAL, True, FaultKind.TOKEN_UNKNOWN),  # ChangeStreamFatalError: the resume token was not found
        (280, FINAL, False, FaultKind.TOKEN_UNKNOWN),
        # The oplog's end has passed us.
        (286, FINAL, True, FaultKind.HISTORY_LOST),  # ChangeStreamHistoryLost
        (286, FINAL, False, FaultKind.HISTORY_LOST),
        (136, (), False, FaultKind.RETRY),  # CappedPositionLost: opening again answers 286
        # One event over 16 MB.
        (10334, (), False, FaultKind.UNREADABLE),  # BSONObjectTooLarge
        (10334, FINAL, True, FaultKind.UNREADABLE),
        # No replica set.
        (40573, (), True, FaultKind.NO_REPLICA_SET),
        # Elections, restarts, a slow server.
        (43, RESUMABLE, False, FaultKind.RETRY),  # CursorNotFound
        (50, (), False, FaultKind.RETRY),  # MaxTimeMSExpired
        (91, RESUMABLE, False, FaultKind.RETRY),  # ShutdownInProgress
        (133, RESUMABLE, False, FaultKind.RETRY),  # FailedToSatisfyReadPreference
        (189, RESUMABLE, False, FaultKind.RETRY),  # PrimarySteppedDown
        (10107, RESUMABLE, True, FaultKind.RETRY),  # NotWritablePrimary
        (11600, RESUMABLE, False, FaultKind.RETRY),  # InterruptedAtShutdown
        # A person has to act, and may; meanwhile trying again does no harm.
        (13, (), True, FaultKind.RETRY),  # Unauthorized
        (18, (), False, FaultKind.RETRY),  # AuthenticationFailed
        # Unknown, but marked as final.
        (999_999, FINAL, False, FaultKind.HISTORY_LOST),
        (999_999, (), True, FaultKind.RETRY),
    ],
)
def test_each_error_has_its_meaning(code: int | None, labels: tuple[str, ...], opening: bool, fault: FaultKind) -> None:
    assert classify(code, labels, opening_with_token=opening) is fault


def test_the_reason_of_an_outage_is_one_that_an_operator_understands() -> None:
    shown = explain("127.0.0.1:27017: operation cancelled (configured timeouts: connectTimeoutMS: 2000.0ms)")
    assert shown == (
        "127.0.0.1:27017: MongoDB stopped answering the driver's heartbeats, so the driver closed the connection"
    )
    nobody = "db:1: refused (configured timeouts: socketTimeoutMS: 5.0ms), Timeout: 5.0s, Topology Description: <…>"
    assert explain(nobody) == "db:1: refused"
    assert explain("connection refused") == "connection refused"
