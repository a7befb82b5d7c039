"""Where the watcher begins: every combination of the states of MongoDB and Redis."""

from dataclasses import replace

import pytest

from services.common.cursor import Position
from services.common.normalize import EpochReason, token_time
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.mongodb.deployment import Deployment
from services.watcher.start import (
    Checkpoint,
    Continue,
    NewEpoch,
    PublishedHead,
    Rebuild,
    Start,
    decide,
)

HOUR = 3600
SECOND = 1 << 32
NOW = 1_700_000_000 * SECOND
AT = Position(NOW - 10 * SECOND, 3)
LATER = Position(NOW - 5 * SECOND, 0)
EARLIER = Position(NOW - 20 * SECOND, 0)
LONG_AGO = Position(NOW - 5 * HOUR * SECOND, 0)
SAVED = Checkpoint("e1", AT, "saved", "set-1", "pipe")
HEAD = PublishedHead("e1", AT, "head")
HERE = Deployment("set-1", NOW)


def token_at(ts: int) -> str:
    return f"82{ts:016X}2B0229296E04"


SOME = VisibleFields.parse("status")
OTHER = VisibleFields.parse("status,size")


def new(reason: EpochReason) -> NewEpoch:
    return NewEpoch(reason)


@pytest.mark.parametrize(
    ("saved", "head", "here", "expected"),
    [
        pytest.param(None, None, HERE, new(EpochReason.FIRST_START), id="nothing is known"),
        pytest.param(None, HEAD, HERE, new(EpochReason.STATE_LOST), id="only Redis remembers"),
        pytest.param(SAVED, HEAD, HERE, Continue("e1", AT, "saved"), id="both agree: the younger token is MongoDB's"),
        pytest.param(
            SAVED, replace(HEAD, position=LATER), HERE, Continue("e1", LATER, "head"), id="Redis is ahead: it is newer"
        ),
        pytest.param(
            SAVED,
            replace(HEAD, position=EARLIER),
            HERE,
            Continue("e1", EARLIER, "head"),
            id="Redis lost its tail: read again from there",
        ),
        pytest.param(
            SAVED,
            replace(HEAD, position=LONG_AGO),
            HERE,
            Rebuild("e1", NOW - HOUR * SECOND),
            id="Redis came back with something very old",
        ),
        pytest.param(
            SAVED,
            replace(HEAD, position=EARLIER, token=""),
            HERE,
            Rebuild("e1", NOW - HOUR * SECOND),
            id="Redis is in the middle of a rebuild",
        ),
        pytest.param(SAVED, None, HERE, Rebuild("e1", NOW - HOUR * SECOND), id="Redis lost everything"),
        pytest.param(
            SAVED,
            replace(HEAD, epoch="e0", position=LATER),
            HERE,
            Rebuild("e1", NOW - HOUR * SECOND),
            id="Redis has another epoch's log",
        ),
        pytest.param(
            replace(SAVED, position=LONG_AGO),
            None,
            HERE,
            Rebuild("e1", LONG_AGO.ts),
            id="a quiet stream is rebuilt from the checkpoint, however old",
        ),
        pytest.param(
            SAVED, HEAD, Deployment("set-2", NOW), new(EpochReason.DATABASE_REPLACED), id="another replica set"
        ),
        pytest.param(
            SAVED, HEAD, Deployment(None, NOW), Continue("e1", AT, "saved"), id="the replica set may not be asked for"
        ),
        pytest.param(
            replace(SAVED, replica_set_id=None), HEAD, HERE, Continue("e1", AT, "saved"), id="it was not known before"
        ),
        pytest.param(
            replace(SAVED, position=Position(NOW + HOUR * SECOND, 0)),
            replace(HEAD, position=Position(NOW + HOUR * SECOND, 0)),
            HERE,
            new(EpochReason.DATABASE_REPLACED),
            id="a position from the future",
        ),
        pytest.param(
            replace(SAVED, token=token_at(NOW + HOUR * SECOND)),
            HEAD,
            HERE,
            new(EpochReason.DATABASE_REPLACED),
            id="a token from the future",
        ),
        pytest.param(
            replace(SAVED, token=token_at(NOW + 30 * SECOND)),
            HEAD,
            HERE,
            Continue("e1", AT, token_at(NOW + 30 * SECOND)),
            id="a primary that is a little behind its predecessor",
        ),
        pytest.param(
            replace(SAVED, pipeline="other"), HEAD, HERE, new(EpochReason.PIPELINE_CHANGED), id="another pipeline"
        ),
        pytest.param(
            replace(SAVED, token=""), replace(HEAD, token=""), HERE, Continue("e1", AT, ""), id="a new epoch's first"
        ),
    ],
)
def test_where_to_begin(
    saved: Checkpoint | None, head: PublishedHead | None, here: Deployment, expected: Start
) -> None:
    assert decide(saved, head, here, "pipe", ALL_FIELDS, HOUR) == expected


@pytest.mark.parametrize(
    ("token", "time"),
    [
        (token_at(NOW), NOW),
        (token_at(2**64 - 1), 2**64 - 1),
        ("82" + "0" * 15, None),
        ("", None),
        ("83" + "0" * 16, None),
        ("82" + "x" * 16, None),
    ],
)
def test_the_time_in_a_token_is_read_where_there_is_one(token: str, time: int | None) -> None:
    assert token_time(token) == time


@pytest.mark.parametrize("now", [ALL_FIELDS, SOME, OTHER])
@pytest.mark.parametrize("then", [ALL_FIELDS, SOME, OTHER])
def test_a_log_that_shows_other_fields_is_not_continued(then: VisibleFields, now: VisibleFields) -> None:
    epoch = f"0123abcd{then.mark}"
    saved, head = replace(SAVED, epoch=epoch), replace(HEAD, epoch=epoch)
    expected = Continue(epoch, AT, "saved") if now is then else new(EpochReason.FIELDS_CHANGED)
    assert decide(saved, head, HERE, "pipe", now, HOUR) == expected
