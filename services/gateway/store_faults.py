"""Maps each driver error to the store error that tells a caller how to react."""

from pymongo import errors

from services.common.error_text import error_text
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.broken_rules import refusal
from services.gateway.snapshot_read import is_snapshot_unavailable
from services.gateway.store_errors import (
    OrderBusy,
    OutcomeUnknown,
    StoreError,
    StoreFailed,
    StoreUnavailable,
    TooSlow,
)

# 24 LockTimeout, 46 LockBusy, 50 MaxTimeMSExpired, 112 WriteConflict, 251 NoSuchTransaction (MongoDB has ended it):
# MongoDB answers, but this one operation failed.
_BUSY = frozenset({24, 46, 50, 112, 251})


def store_error(error: Exception, *, writing: bool, visible: VisibleFields = ALL_FIELDS) -> StoreError:
    """Return our error for the driver's: whether a retry makes sense, and whether a write may have been done."""
    if not isinstance(error, errors.PyMongoError):  # our own timeout
        return _unanswered(writing=writing)
    applied_here_only = isinstance(error, errors.WriteConcernError)
    if isinstance(error, errors.OperationFailure) and not applied_here_only:
        if _is_busy(error):
            return OrderBusy("another transaction holds it") if writing else TooSlow("MongoDB ran out of time")
        of_document = isinstance(error, errors.WriteError)
        refused = refusal(error.code, error.details, visible, of_document=of_document) if writing else None
        if refused is not None:
            return refused
    if not (
        isinstance(error, errors.ConnectionFailure)
        or error.timeout
        or applied_here_only
        or is_snapshot_unavailable(error)
    ):
        return StoreFailed(error_text(error))
    unsent = isinstance(error, (errors.ServerSelectionTimeoutError, errors.WaitQueueTimeoutError))
    return _unanswered(writing=writing and not unsent and not error.has_error_label("NoWritesPerformed"))


def is_timeout(error: Exception) -> bool:
    """Tell whether a reply did not come in time, perhaps only to this one operation."""
    if isinstance(error, (errors.WriteConcernError, errors.ServerSelectionTimeoutError)):
        return False  # too few servers answer, or none
    return isinstance(error, TimeoutError) or (isinstance(error, errors.PyMongoError) and error.timeout)


def _is_busy(error: errors.OperationFailure) -> bool:
    # The driver raises an error with the same code itself when no time is left to send; that one lacks the name.
    return error.code in _BUSY and "codeName" in (error.details or {})


def _unanswered(*, writing: bool) -> StoreError:
    if writing:
        return OutcomeUnknown("MongoDB did not confirm the write in time")
    return StoreUnavailable("MongoDB has no primary that answers")
