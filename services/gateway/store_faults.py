"""Says for each error of the driver's what a caller can do about it."""

from pymongo import errors

from services.gateway.refusals import refusal
from services.gateway.snapshot import is_snapshot_unavailable
from services.gateway.store_errors import (
    OrderBusy,
    OutcomeUnknown,
    StoreError,
    StoreFailed,
    StoreUnavailable,
    TooSlow,
)

# 24 LockTimeout, 46 LockBusy, 50 MaxTimeMSExpired, 112 WriteConflict: MongoDB answers, and could not do this one thing.
_BUSY = frozenset({24, 46, 50, 112})


def store_error(error: Exception, *, writing: bool) -> StoreError:
    """Return our error for the driver's: whether trying later makes sense, and whether a write may have been done."""
    if not isinstance(error, errors.PyMongoError):  # our own patience has ended
        return _unanswered(writing=writing)
    applied_here_only = isinstance(error, errors.WriteConcernError)
    if isinstance(error, errors.OperationFailure) and not applied_here_only:
        if _is_busy(error):
            return OrderBusy("another transaction holds it") if writing else TooSlow("MongoDB had not enough time")
        of_document = isinstance(error, errors.WriteError)
        refused = refusal(error.code, error.details, of_document=of_document) if writing else None
        if refused is not None:
            return refused
    if not (
        isinstance(error, errors.ConnectionFailure)
        or error.timeout
        or applied_here_only
        or is_snapshot_unavailable(error)
    ):
        return StoreFailed(str(error))
    unsent = isinstance(error, (errors.ServerSelectionTimeoutError, errors.WaitQueueTimeoutError))
    return _unanswered(writing=writing and not unsent and not error.has_error_label("NoWritesPerformed"))


def is_timeout(error: Exception) -> bool:
    """Say whether the answer was waited for in vain; perhaps only this one."""
    if isinstance(error, (errors.WriteConcernError, errors.ServerSelectionTimeoutError)):
        return False  # of several servers too few answer, or none
    return isinstance(error, TimeoutError) or (isinstance(error, errors.PyMongoError) and error.timeout)


def _is_busy(error: errors.OperationFailure) -> bool:
    # The driver makes an error of the same code itself, where there is no time left to ask; it lacks the name.
    return error.code in _BUSY and "codeName" in (error.details or {})


def _unanswered(*, writing: bool) -> StoreError:
    if writing:
        return OutcomeUnknown("MongoDB did not confirm the write in time")
    return StoreUnavailable("MongoDB has no primary that answers")
