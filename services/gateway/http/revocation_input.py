"""Checks what operators ask of revocations, field by field."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from services.gateway.edge.tokens import LONGEST_SUBJECT, LONGEST_TOKEN_ID, is_subject, is_token_id
from services.gateway.input_rules import FieldFault, InvalidInput

LARGEST_PAGE = 500
DEFAULT_PAGE = 100
_CLOCKS = 300.0  # seconds by which the clocks of an operator and of a gateway may differ
_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)
_LIMIT = re.compile(r"[0-9]{1,4}", re.ASCII)
_TIME = "must be a time with its offset, as 2026-01-31T12:00:00Z"


class WantedRevocation(NamedTuple):
    """What is to be refused."""

    subject: str | None
    token_id: str | None
    issued_before: float | None


def parse_revocation(body: object, now: float) -> WantedRevocation:
    """Check the body of a POST; raise InvalidInput."""
    if not isinstance(body, Mapping):
        raise InvalidInput([FieldFault("", "must be a JSON object")])
    faults = [*_faults(body, now)]
    if faults:
        raise InvalidInput(faults)
    before = body.get("issued_before")
    return WantedRevocation(body.get("subject"), body.get("token_id"), None if before is None else _seconds(before))


def _faults(body: Mapping[str, Any], now: float) -> Iterator[FieldFault]:
    yield from (FieldFault(name, "is not an accepted field") for name in body if name not in WantedRevocation._fields)
    if "subject" not in body and "token_id" not in body:
        yield FieldFault("subject", "is missing: give it, or token_id")
    if "subject" in body and "token_id" in body:
        yield FieldFault("token_id", "must not be given together with subject")
    if not _is(body.get("subject", "-"), is_subject):
        yield FieldFault("subject", f"must be a string of 1 to {LONGEST_SUBJECT} printable characters")
    if not _is(body.get("token_id", "-"), is_token_id):
        yield FieldFault("token_id", f"must be a string of 1 to {LONGEST_TOKEN_ID} printable characters")
    if "issued_before" in body:
        yield from _faults_of_time(body, now)


def _faults_of_time(body: Mapping[str, Any], now: float) -> Iterator[FieldFault]:
    before = _seconds(body["issued_before"])
    if "subject" not in body:
        yield FieldFault("issued_before", "is allowed only together with subject")
    elif before is None:
        yield FieldFault("issued_before", _TIME)
    elif before > now + _CLOCKS:
        yield FieldFault("issued_before", "must not be in the future")


def _is(value: object, kind: Callable[[str], bool]) -> bool:
    return isinstance(value, str) and kind(value)


def _seconds(text: object) -> float | None:
    """Return the time in seconds since 1970, or None where it is not one."""
    if not isinstance(text, str) or "T" not in text or len(text) > 40:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else max(0.0, moment.timestamp())
    except (ValueError, OverflowError):
        return None


def parse_page(pairs: Iterable[tuple[str, str]]) -> tuple[int, str | None]:
    """Check the query string of a list, given as its pairs; raise InvalidInput."""
    limit, after = str(DEFAULT_PAGE), None
    faults = []
    seen = set()
    for name, value in pairs:
        if name in seen:
            faults.append(FieldFault(name, "is given more than once"))
        elif name == "limit":
            limit = value
        elif name == "after":
            after = value
        else:
            faults.append(FieldFault(name, "is not an accepted field"))
        seen.add(name)
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= LARGEST_PAGE:
        faults.append(FieldFault("limit", f"must be a whole number from 1 to {LARGEST_PAGE}"))
    if after is not None and not _ID.fullmatch(after):
        faults.append(FieldFault("after", "must be the id of a revocation"))
    if faults:
        raise InvalidInput(faults)
    return int(limit), after


def is_id(text: str) -> bool:
    """Tell whether a revocation may have this id."""
    return _ID.fullmatch(text) is not None
