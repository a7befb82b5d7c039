"""Which changes a client wants to see, and what to tell it of each."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Annotated, Any, Protocol

import msgspec

from services.common.envelope import Operation

MAX_FILTERS = 10
_FIELD = re.compile(r"\.(\w+)")
Value = Annotated[str, msgspec.Meta(max_length=200)]
Values = Annotated[list[Value], msgspec.Meta(min_length=1, max_length=100)]


class Change(Protocol):
    """What a filter looks at."""

    @property
    def operation(self) -> Operation: ...
    @property
    def id(self) -> str: ...
    @property
    def data(self) -> dict[str, Any] | None: ...
    @property
    def before(self) -> dict[str, Any] | None: ...


class Verdict(Enum):
    """What a client is told of a change."""

    SHOW = "show"
    LEFT = "left"  # the order was in the client's view and is no longer
    HIDE = "hide"


class InvalidFilter(ValueError):
    """The filter is not understood; ``field`` is empty where it is the whole of it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Filter(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The orders with one of these ids, one of these statuses and one of these customers; None means any."""

    ids: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    customer_name: tuple[str, ...] | None = None

    def verdict(self, change: Change) -> Verdict:
        """Say what to tell the client; what is unknown is told rather than hidden."""
        if self.ids is not None and change.id not in self.ids:
            return Verdict.HIDE
        if self._fits(change.data):
            return Verdict.SHOW
        if change.operation is Operation.UPDATE and self._fits(change.before):
            return Verdict.LEFT
        return Verdict.HIDE

    def _fits(self, fields: Mapping[str, Any] | None) -> bool:
        if fields is None:
            return True  # nobody knows what it was
        return (self.status is None or fields.get("status") in self.status) and (
            self.customer_name is None or fields.get("customer_name") in self.customer_name
        )


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    ids: Values | None = None
    status: Values | Value | None = None
    customer_name: Values | Value | None = None


_ASKED = msgspec.json.Decoder(list[_Asked])

Interest = frozenset[Filter]
"""What one client wants: the orders that fit any of its filters. Equal ones share every decision."""

EVERYTHING: Interest = frozenset({Filter()})
NOTHING: Interest = frozenset()


def verdict(interest: Interest, change: Change) -> Verdict:
    """Say what to tell a client with this interest."""
    verdicts = {wanted.verdict(change) for wanted in interest}
    if Verdict.SHOW in verdicts:
        return Verdict.SHOW
    return Verdict.LEFT if Verdict.LEFT in verdicts else Verdict.HIDE


def parse_filter(asked: object) -> Filter:
    """Read a filter as clients write it: ``{"ids": […], "status": … or […], "customer_name": … or […]}``."""
    try:
        fields = msgspec.convert(asked, _Asked)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        found = _FIELD.match(path)
        raise InvalidFilter(message, found[1] if found else "") from error
    return _filter(fields)


def _filter(fields: _Asked) -> Filter:
    return Filter(ids=_values(fields.ids), status=_values(fields.status), customer_name=_values(fields.customer_name))


def _values(asked: list[str] | str | None) -> tuple[str, ...] | None:
    if asked is None:
        return None
    return (asked,) if isinstance(asked, str) else tuple(sorted(set(asked)))


def to_text(interest: Interest) -> str:
    """Write an interest as URL-safe text, empty for everything."""
    if interest == EVERYTHING:
        return ""
    ordered = sorted(msgspec.json.encode(wanted) for wanted in interest)
    return base64.urlsafe_b64encode(b"[" + b",".join(ordered) + b"]").decode().rstrip("=")


def from_text(text: str) -> Interest:
    """Read what ``to_text`` wrote; raise InvalidFilter."""
    if not text:
        return EVERYTHING
    try:
        # Decoded as what it has to be: without a type, deep nesting would exhaust the stack.
        asked = _ASKED.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidFilter("not an interest") from error
    return union(_filter(fields) for fields in asked)


def union(filters: Iterable[Filter]) -> Interest:
    """Put filters together; raise InvalidFilter when there are too many."""
    interest = frozenset(filters)
    if len(interest) > MAX_FILTERS:
        raise InvalidFilter(f"more than {MAX_FILTERS} filters")
    return interest
