"""Translates the exceptions of the store and the parsers into the problems that clients get."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.common.error_text import error_text
from services.gateway.http.problems import Kind, Problem
from services.gateway.orders import FieldFault, InvalidInput
from services.gateway.store_errors import (
    CollectionUnfit,
    OrderBusy,
    OrderNotFound,
    OrderRefused,
    OrderTooLarge,
    OutcomeUnknown,
    OutsideRights,
    RuleBroken,
    StoreError,
    StoreFailed,
    StoreUnavailable,
    TooSlow,
    ValueTaken,
)

_REFUSALS = {RuleBroken: (422, Kind.RULE), ValueTaken: (409, Kind.TAKEN), OrderTooLarge: (413, Kind.ORDER_TOO_LARGE)}
_PROBLEMS: dict[type[StoreError], tuple[int, Kind, str, dict[str, str]]] = {
    OrderNotFound: (404, Kind.NOT_FOUND, "There is no order with this id; it may have been deleted.", {}),
    OutsideRights: (403, Kind.OUTSIDE, "It would be an order that you may not see. Nothing was written.", {}),
    OrderBusy: (
        409,
        Kind.BUSY,
        "Another transaction holds the order, and did not end in time. Nothing was written; try again.",
        {"Retry-After": "1"},
    ),
    TooSlow: (503, Kind.TOO_SLOW_STORE, "MongoDB answers, but could not finish this in time.", {"Retry-After": "2"}),
    StoreUnavailable: (
        503,
        Kind.UNAVAILABLE,
        "MongoDB does not answer. Nothing was written.",
        {"Retry-After": "2"},
    ),
    OutcomeUnknown: (
        503,
        Kind.UNKNOWN_OUTCOME,
        "MongoDB did not confirm the write in time: it may have been done. Check before you repeat it.",
        {"Retry-After": "2"},
    ),
}


@contextmanager
def as_problems(place: str) -> Iterator[None]:
    """Raise a Problem for each such error; ``place`` is the part of the request that may be at fault."""
    try:
        yield
    except InvalidInput as error:
        raise Problem(422, Kind.INVALID, error_text(error), faults=error.faults, place=place) from error
    except OrderRefused as error:
        status, kind = _REFUSALS[type(error)]
        faults = [FieldFault(field, f"is refused by {error.rule}") for field in error.fields]
        raise Problem(status, kind, f"MongoDB refuses it by {error.rule}.", faults=faults) from error
    except CollectionUnfit as error:
        raise Problem(503, Kind.UNFIT, error_text(error)) from error
    except StoreFailed:
        raise  # our fault: logged, and answered 500
    except StoreError as error:
        status, kind, detail, headers = _PROBLEMS[type(error)]
        raise Problem(status, kind, detail, headers=headers) from error
