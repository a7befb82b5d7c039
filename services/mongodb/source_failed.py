"""The one error of the change stream, and the translation of the driver's errors into it."""

from pymongo.errors import OperationFailure, PyMongoError

from services.common.error_text import error_text
from services.mongodb.faults import FaultKind, classify, explain


class SourceFailed(Exception):
    """The change stream cannot be read; ``fault`` classifies the error."""

    def __init__(self, fault: FaultKind, message: str) -> None:
        super().__init__(message)
        self.fault = fault


def source_failed(error: PyMongoError, *, opening_with_token: bool = False) -> SourceFailed:
    """Translate the driver's error."""
    code = error.code if isinstance(error, OperationFailure) else None
    labels = ("NonResumableChangeStreamError",) if error.has_error_label("NonResumableChangeStreamError") else ()
    return SourceFailed(classify(code, labels, opening_with_token=opening_with_token), explain(error_text(error)))
