"""Which changes a client wants to see, and how each is shown to it."""

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Protocol, get_args

import msgspec

from services.common.envelope import Operation
from services.common.error_text import error_text
from services.common.filter_fields import FILTER_FIELDS
from services.common.ids import InvalidId, canonical
from services.common.visible_fields import ALL_FIELDS, VisibleFields
from services.gateway.input_rules import LONGEST_NAME, NO_ID, NOT_VISIBLE, Status

# Limits for one client. The text is part of every event sent to a Socket.IO client with filters, so it is bounded in
# bytes; the counts bound the size of the filter index and the cost of a verdict.
MAX_TEXT = 2048
MAX_FILTERS = 10
MAX_VALUES = 100  # of all fields of all filters

_LONGEST_MESSAGE = 200
_ADVICE = "follow everything, a status or a customer and filter in the client, or open several connections"
_FIELD = re.compile(r"\.(\w+)")
Value = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
# Checked before any conversion: a frame has room for thousands of values.
_SOME = msgspec.Meta(min_length=1, max_length=MAX_VALUES)
Values = Annotated[list[Value], _SOME]
Ids = Annotated[list[Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]], _SOME]
Statuses = Annotated[list[Status], _SOME]


class FilteredChange(Protocol):
    """The parts of a change that decide a filter: see `Event`."""

    @property
    def operation(self) -> Operation: ...
    @property
    def id(self) -> str: ...
    @property
    def deciding(self) -> dict[str, Any] | None: ...
    @property
    def deciding_before(self) -> dict[str, Any] | None: ...


class Verdict(Enum):
    """How a change is shown to a client."""

    SHOW = "show"
    LEFT = "left"  # the order was in the client's view and is no longer
    HIDE = "hide"
    UNKNOWN = "unknown"  # nobody can tell whether the client may see the order, or could before


class InvalidFilter(ValueError):
    """The filter is not valid; ``field`` is empty where that concerns all of it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Filter(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The orders with one of these ids, one of these statuses and one of these customers; None means any."""

    ids: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    customer_name: tuple[str, ...] | None = None

    @property
    def needs_images(self) -> bool:
        """Whether the id alone does not decide it."""
        return self.status is not None or self.customer_name is not None

    @property
    def values_by_field(self) -> dict[str, tuple[str, ...]]:
        """The values that are wanted of each field besides the id, of those fields that are limited."""
        asked = ((field, getattr(self, field)) for field in FILTER_FIELDS)
        return {field: values for field, values in asked if values is not None}

    def verdict(self, change: FilteredChange, unknown: Verdict = Verdict.SHOW) -> Verdict:
        """Return how to show the change to the client, or ``unknown`` where its images do not tell."""
        if self.ids is not None and change.id not in self.ids:
            return Verdict.HIDE
        after = self._fits(change.deciding)
        if after is not False:
            return Verdict.SHOW if after else unknown
        if change.operation is not Operation.UPDATE:
            return Verdict.HIDE
        before = self._fits(change.deciding_before)
        if before is None:
            return Verdict.LEFT if unknown is Verdict.SHOW else unknown
        return Verdict.LEFT if before else Verdict.HIDE

    def _fits(self, fields: Mapping[str, Any] | None) -> bool | None:
        """Tell whether an order with these deciding fields fits, whatever its id; None where that is unknown."""
        if fields is None:
            return None if self.needs_images else True
        return is_one_of(fields, "status", self.status) and is_one_of(fields, "customer_name", self.customer_name)

    def holds(self, id: str, fields: Mapping[str, Any]) -> bool:
        """Tell whether the order with this id and these deciding fields fits."""
        return (self.ids is None or id in self.ids) and self._fits(fields) is True

    def narrowed(self, other: "Filter") -> "Filter | None":
        """Return the filter of the orders that fit both, or None where none can."""
        ids = _common(self.ids, other.ids)
        status = _common(self.status, other.status)
        customer_name = _common(self.customer_name, other.customer_name)
        return None if () in (ids, status, customer_name) else Filter(ids, status, customer_name)


def _common(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(value for value in one if value in other)


def is_one_of(fields: Mapping[str, Any], name: str, values: Collection[str] | None) -> bool:
    """Tell whether the field, of `deciding_fields`, is one of these strings; None means any."""
    return values is None or fields.get(name) in values


class _FilterFields(msgspec.Struct, forbid_unknown_fields=True):
    ids: Ids | None = None
    status: Statuses | Status | None = None
    customer_name: Values | Value | None = None


_FILTERS = msgspec.json.Decoder(list[_FilterFields])
_FIELDS = Filter.__struct_fields__

Interest = frozenset[Filter]
"""The orders that one client wants: those that fit any of its filters. Equal interests share every decision."""

EVERYTHING: Interest = frozenset({Filter()})
NOTHING: Interest = frozenset()


def verdict(interest: Interest, change: FilteredChange, unknown: Verdict = Verdict.SHOW) -> Verdict:
    """Return how to show the change to a client with this interest; an unknown one is shown rather than hidden."""
    verdicts = {wanted.verdict(change, unknown) for wanted in interest}
    return next((each for each in _STRONGEST_FIRST if each in verdicts), Verdict.HIDE)


_STRONGEST_FIRST = (Verdict.SHOW, Verdict.UNKNOWN, Verdict.LEFT)


def conjunction(one: Interest, other: Interest) -> Interest:
    """Return the interest in the orders that fit both."""
    both = (each.narrowed(another) for each in one for another in other)
    return frozenset(each for each in both if each is not None)


def parse_filter(asked: object) -> Filter:
    """Read a filter as clients write it: ``{"ids": […], "status": … or […], "customer_name": … or […]}``."""
    try:
        fields = msgspec.convert(asked, _FilterFields)
    except msgspec.ValidationError as error:
        raise _invalid_filter(error_text(error)) from error
    wanted = _filter(fields)
    for field in _FIELDS:
        try:
            "".join(getattr(wanted, field) or ()).encode()
        except UnicodeEncodeError as error:  # a URL contained bytes that are not UTF-8
            raise InvalidFilter("must be valid Unicode text", field) from error
    return wanted


def _invalid_filter(message: str) -> InvalidFilter:
    """Return msgspec's message as ours: with the field named, and bounded in length whatever was sent."""
    said, _, path = message.partition(" - at `$")
    found = _FIELD.match(path)
    if said.startswith("Invalid enum value"):
        said = f"must be one of {', '.join(map(repr, get_args(Status)))}"
    return InvalidFilter(said[:_LONGEST_MESSAGE], found[1] if found else "")


def _filter(fields: _FilterFields) -> Filter:
    try:
        ids = None if fields.ids is None else [canonical(one) for one in fields.ids]
    except InvalidId as error:
        raise InvalidFilter(NO_ID, "ids") from error
    return Filter(ids=_values(ids), status=_values(fields.status), customer_name=_values(fields.customer_name))


def _values(asked: Sequence[str] | str | None) -> tuple[str, ...] | None:
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
    """Parse the output of ``to_text``; raise InvalidFilter. Text longer than any output of it is not even decoded."""
    if not text:
        return EVERYTHING
    if len(text) > MAX_TEXT:
        raise InvalidFilter("not an interest")
    try:
        # Decoded with a type: without one, deep nesting would exhaust the stack.
        asked = _FILTERS.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidFilter("not an interest") from error
    return union((_filter(fields) for fields in asked), ALL_FIELDS)


def union(filters: Iterable[Filter], visible: VisibleFields) -> Interest:
    """Combine a client's filters; raise InvalidFilter for a field.

    The largest, where they exceed the limits, or one that is not ``visible``: by asking for one value after the other,
    a client would find out what an order has there. Rights may use any field.
    """
    interest = frozenset(filters)
    for field in _FIELDS:
        if field != "ids" and not visible.shows(field) and any(getattr(each, field) is not None for each in interest):
            raise InvalidFilter(NOT_VISIBLE, field)
    if len(interest) > MAX_FILTERS:
        raise InvalidFilter(f"a client may have at most {MAX_FILTERS} filters: {_ADVICE}")
    values = {field: [value for each in interest for value in getattr(each, field) or ()] for field in _FIELDS}
    if sum(map(len, values.values())) > MAX_VALUES:
        field = max(_FIELDS, key=lambda field: len(values[field]))
        raise InvalidFilter(f"the filters of a client may have {MAX_VALUES} values together: {_ADVICE}", field)
    size = len(to_text(interest))
    if size > MAX_TEXT:
        field = max(_FIELDS, key=lambda field: sum(map(len, values[field])))
        raise InvalidFilter(
            f"the filters of a client may take {MAX_TEXT} bytes of text together, these take {size}: {_ADVICE}", field
        )
    return interest
