"""Translates the exceptions of the store and the parsers into the problems that clients get."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.common.documents import Json
from services.common.error_text import error_text
from services.gateway.http.problems import Kind, Problem, fault_json
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.kept_answers import KeyReused, KeyTaken
from services.gateway.store_errors import (
    AnswerTooLarge,
    BatchRefused,
    CollectionUnfit,
    OrderBusy,
    OrderNotFound,
    OrderRefused,
    OrderTooLarge,
    OutcomeUnknown,
    OutsideRights,
    Overloaded,
    RuleBroken,
    SnapshotTooOld,
    StoreError,
    StoreUnavailable,
    TooSlow,
    ValueTaken,
)
from services.gateway.versions import PreconditionFailed

_REFUSALS = {RuleBroken: (422, Kind.RULE), ValueTaken: (409, Kind.TAKEN), OrderTooLarge: (413, Kind.ORDER_TOO_LARGE)}
_MAX_ITEMS = 20  # of a batch that are named in one answer
_PROBLEMS: dict[type[Exception], tuple[int, Kind, str, dict[str, str]]] = {
    OrderNotFound: (404, Kind.NOT_FOUND, "There is no order with this id; it may have been deleted.", {}),
    PreconditionFailed: (
        412,
        Kind.PRECONDITION,
        "The order has changed since you read it, or exists already. Nothing was written; read it again.",
        {},
    ),
    KeyTaken: (
        409,
        Kind.IN_PROGRESS,
        "Another request with this Idempotency-Key has no answer yet. Repeat this one to get it.",
        {"Retry-After": "1"},
    ),
    OutsideRights: (403, Kind.OUTSIDE, "You may not see the order that this would make. Nothing was written.", {}),
    OrderBusy: (
        409,
        Kind.BUSY,
        "Another transaction holds the order, and did not end in time. Nothing was written; try again.",
        {"Retry-After": "1"},
    ),
    SnapshotTooOld: (
        503,
        Kind.TOO_SLOW_STORE,
        "MongoDB no longer has the orders as they were when this request began.",
        {"Retry-After": "2"},
    ),
    TooSlow: (503, Kind.TOO_SLOW_STORE, "MongoDB answers, but could not finish this in time.", {"Retry-After": "2"}),
    Overloaded: (
        503,
        Kind.OVERLOADED,
        "The server is overloaded. Nothing was done; try again.",
        {"Retry-After": "1"},
    ),
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
    except (InvalidInput, PreconditionFailed, KeyReused, KeyTaken, StoreError) as error:
        problem = problem_of(error, place)
        if problem is None:
            raise  # our fault: logged, and answered 500
        raise problem from error


def problem_of(error: Exception, place: str = "body") -> Problem | None:
    """Return what a client is told of the error, or None where it is a fault of ours."""
    match error:
        case InvalidInput():
            return Problem(422, Kind.INVALID, error_text(error), faults=error.faults, place=place)
        case BatchRefused():
            return _of_batch(error)
        case AnswerTooLarge():
            return Problem(413, Kind.ORDER_TOO_LARGE, f"The response would exceed {error.rule}. Nothing was written.")
        case OrderRefused():
            status, kind = _REFUSALS[type(error)]
            faults = [FieldFault(field, f"is refused by {error.rule}") for field in error.fields]
            return Problem(status, kind, f"MongoDB refuses it by {error.rule}.", faults=faults)
        case CollectionUnfit():
            # Somebody must replace the collection; it is then found out within seconds.
            return Problem(503, Kind.UNFIT, error_text(error), headers={"Retry-After": "30"})
        case KeyReused():
            fault = FieldFault("Idempotency-Key", "belongs to another request")
            detail = "An earlier request with this Idempotency-Key differs from this one. Nothing was written."
            return Problem(422, Kind.KEY_REUSED, detail, faults=[fault], place="header")
    if type(error) not in _PROBLEMS:
        return None
    status, kind, detail, headers = _PROBLEMS[type(error)]
    return Problem(status, kind, detail, headers=headers)


def _of_batch(error: BatchRefused) -> Problem | None:
    """Return the problem of the first item; ``errors`` has that of each, under its place in the body."""
    problems = [(number, problem_of(one)) for number, one in error.items[:_MAX_ITEMS]]
    first = problems[0][1]
    if first is None:
        return None
    errors = [each for number, problem in problems if problem is not None for each in _errors(number, problem)]
    detail = f"{len(error.items)} of the operations cannot be done, so none was. The first: {first.detail}"
    return Problem(first.status, first.kind, detail, errors=errors)


def _errors(number: int, problem: Problem) -> Iterator[Json]:
    place = ("operations", str(number))
    faults = [FieldFault(fault.field, fault.message, (*place, "order")) for fault in problem.faults]
    if not faults:
        faults = [FieldFault("id" if problem.kind is Kind.NOT_FOUND else "order", problem.detail, place)]
    for fault in faults:
        yield {**fault_json(fault, "body"), "status": problem.status, "type": problem.kind.uri}
