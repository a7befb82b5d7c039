"""Decides where the watcher starts: continue, rebuild the log in Redis, or begin a new epoch."""

from dataclasses import dataclass

from services.common.cursor import Position
from services.common.normalize import EpochReason, token_time
from services.common.visible_fields import VisibleFields
from services.mongodb.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint in `stream_state`: everything up to ``position`` is published, ``token`` resumes after it."""

    epoch: str
    position: Position
    token: str
    replica_set_id: str | None
    pipeline: str


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """The head of the log in Redis: its last position, and the token that resumes after it."""

    epoch: str
    position: Position
    token: str


@dataclass(frozen=True, slots=True)
class Continue:
    """The log is complete: resume after ``token`` and append."""

    epoch: str
    position: Position
    token: str


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Redis lost data: empty the log and reread the changes from cluster time ``since``."""

    epoch: str
    since: int


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """History is broken: begin a new one now."""

    reason: EpochReason


Start = Continue | Rebuild | NewEpoch

# A new primary's clock may be slightly behind a token that its predecessor issued.
_TOLERANCE = 60 << 32


def decide(
    saved: Checkpoint | None,
    head: PublishedHead | None,
    here: Deployment,
    pipeline: str,
    visible: VisibleFields,
    window: int,
) -> Start:
    """Decide where to start; ``window`` is the seconds of history in a rebuilt log.

    A change always has the same position, so those in MongoDB (``saved``) and in Redis (``head``) can be compared.
    """
    if saved is None:
        return NewEpoch(EpochReason.FIRST_START if head is None else EpochReason.STATE_LOST)
    if saved.replica_set_id and here.replica_set_id and saved.replica_set_id != here.replica_set_id:
        return NewEpoch(EpochReason.DATABASE_REPLACED)
    # From the future: of another database, or of this one before it was restored. MongoDB would accept such a token
    # silently, and show no change until its time has caught up.
    if max(saved.position.ts, token_time(saved.token) or 0) > here.now + _TOLERANCE:
        return NewEpoch(EpochReason.DATABASE_REPLACED)
    if saved.pipeline != pipeline:
        return NewEpoch(EpochReason.PIPELINE_CHANGED)
    if not visible.made(saved.epoch):  # what is in the log shows other fields
        return NewEpoch(EpochReason.FIELDS_CHANGED)
    since = min(saved.position.ts, here.now - (window << 32))
    if head is None or head.epoch != saved.epoch:
        return Rebuild(saved.epoch, since)
    if head.position == saved.position:
        # The saved token is newer: it advanced while the collection was quiet.
        return Continue(saved.epoch, saved.position, saved.token)
    if head.position.ts < since or not head.token:
        return Rebuild(saved.epoch, since)
    # Ahead: published just before a crash, not yet saved. Behind: Redis lost its tail, which is reread from there.
    return Continue(head.epoch, head.position, head.token)
