"""The rules for the query of a list: its filters, order, search and pages."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple
from zlib import crc32

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from services.common.filter_fields import FILTER_FIELDS
from services.common.ids import InvalidId
from services.common.visible_fields import VisibleFields
from services.gateway.input_rules import (
    MAX_FIELDS,
    MAX_REPEATS,
    NOT_VISIBLE,
    FieldFault,
    InvalidInput,
    OrderId,
    Several,
    SoughtName,
    Status,
    optional,
    validated,
)
from services.gateway.list_mark import KeyMark, is_key_mark
from services.gateway.page_mark import InvalidMark, PageMark

LARGEST_PAGE = 500
DEFAULT_PAGE = 100
MAX_CHOSEN = 50  # fields
_MAX_PARAMETERS = 3 * MAX_REPEATS + MAX_FIELDS

SORT_FIELDS = ("_id", "updated_at", "customer_name", "product_name", "status")
_SORTS = tuple(f"{sign}{field}" for field in SORT_FIELDS for sign in ("", "-"))
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_FIELD = re.compile(r"[^.$\x00-\x1f\x7f-\x9f,-][^.\x00-\x1f\x7f-\x9f,]{0,199}")


def _digits(text: object) -> object:
    # int() also accepts " 5", "1_0" and digits of other scripts, which in a URL are a mistake.
    if isinstance(text, str) and not re.fullmatch(r"[0-9]{1,9}", text):
        raise PydanticCustomError("int_parsing", f"must be a whole number from 1 to {LARGEST_PAGE}")
    return text


def _mark(text: str) -> PageMark | KeyMark:
    return KeyMark.parse(text) if is_key_mark(text) else PageMark.parse(text)


def skips_orders(mark: str) -> bool:
    """Tell whether MongoDB must step over orders to find the place of a mark, ten thousand perhaps."""
    try:
        return mark.startswith("~~") and _mark(mark).skip > 0
    except (InvalidMark, InvalidId):
        return False  # it is refused


def _sort(text: object) -> object:
    if text not in _SORTS:
        fields = ", ".join(SORT_FIELDS)
        raise PydanticCustomError("sort", f"must be one of {fields}, with - in front for descending order")
    return text


def _time(text: object) -> object:
    wrong = PydanticCustomError(
        "time", "must be a time with its zone, such as 2026-01-01T00:00:00Z (+ is %2B in a URL)"
    )
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise wrong
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
        # BSON has milliseconds: what is later than the moment is not earlier than the next of these.
        return moment + timedelta(microseconds=-moment.microsecond % 1000)
    except (ValueError, OverflowError):
        raise wrong from None


def _flag(text: object) -> object:
    if text not in ("true", "false"):
        raise PydanticCustomError("flag", "must be true or false")
    return text == "true"


class Choice(NamedTuple):
    """The fields that are shown: these only, or all but these; `_id` always."""

    names: tuple[str, ...]
    leaves_out: bool

    def shown(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the order with these fields only."""
        return {key: value for key, value in order.items() if key == "_id" or (key in self.names) != self.leaves_out}


def _choice(text: object) -> Choice:
    named = text.split(",") if isinstance(text, str) else []
    names = [name.removeprefix("-") for name in named]
    signs = {name.startswith("-") for name in named}
    if len(names) > MAX_CHOSEN or not all(map(_FIELD.fullmatch, names)):
        raise PydanticCustomError("choice", f"must be up to {MAX_CHOSEN} names of fields, with a comma between them")
    if len(signs) != 1:
        raise PydanticCustomError("choice", "must have - in front of every name, to leave those fields out, or of none")
    if True in signs and "_id" in names:
        raise PydanticCustomError("choice", "cannot leave out _id")
    return Choice(tuple(names), True in signs)


_MARK_TEXT = {"type": "string", "minLength": 1}
_Mark = Annotated[PageMark | KeyMark, PlainValidator(_mark), WithJsonSchema(_MARK_TEXT)]


class Sort(NamedTuple):
    """What a list is sorted by: a field, and `_id` where its values are equal, in the same direction."""

    field: str
    is_descending: bool

    def __str__(self) -> str:
        return f"{'-' if self.is_descending else ''}{self.field}"


class ListQuery(BaseModel):
    """Which orders a list shows, in which order: by default newest first, `limit` of them, below the mark `after`.

    The conditions are those of a live filter, so that a list and the stream that follows it can show the same orders:
    one of these ids, one of these statuses and one of these customers, each given by repeating the parameter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)] = DEFAULT_PAGE
    after: _Mark | None = Field(default=None, json_schema_extra=optional)
    before: _Mark | None = Field(default=None, json_schema_extra=optional)
    id: Several[OrderId] = ()
    status: Several[Status] = ()
    customer_name: Several[SoughtName] = ()
    sort: Annotated[str, BeforeValidator(_sort), WithJsonSchema({"type": "string", "enum": [*_SORTS]})] | None = Field(
        default=None, json_schema_extra=optional
    )
    q: SoughtName | None = Field(default=None, json_schema_extra=optional)
    updated_since: (
        Annotated[datetime, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})] | None
    ) = Field(default=None, json_schema_extra=optional)
    count: Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})] = False
    fields: Annotated[Choice, PlainValidator(_choice), WithJsonSchema({"type": "string", "minLength": 1})] | None = (
        Field(default=None, json_schema_extra=optional)
    )

    @property
    def order(self) -> Sort:
        """What it is sorted by."""
        given = self.sort or ("-_id" if self.updated_since is None else "-updated_at")
        return Sort(given.removeprefix("-"), given.startswith("-"))

    @property
    def is_descending(self) -> bool:
        """Whether it is read from the greatest key to the least."""
        return self.q is None and self.order.is_descending

    @property
    def name(self) -> str:
        """The name of this list in its marks: those of another list mean another place."""
        return str(self.order) if self.q is None else f"q{crc32(self.q.encode()):08x}"

    @property
    def is_by_id(self) -> bool:
        """Whether an id is all that marks a place in it."""
        return self.q is None and self.order.field == "_id"

    @property
    def has_links(self) -> bool:
        """Whether its pages lead back, too; by default they lead on only, as they always did."""
        return self.before is not None or not self.is_by_id or self.sort is not None


_REPEATABLE = ("id", *FILTER_FIELDS)


def parse_query(pairs: Iterable[tuple[str, str]]) -> ListQuery:
    """Check the query string of a list, given as its pairs; raise InvalidInput."""
    given: dict[str, list[str]] = {}
    for number, (name, value) in enumerate(pairs):
        if number >= _MAX_PARAMETERS:
            raise InvalidInput([FieldFault("", f"must not have more than {_MAX_PARAMETERS} parameters")])
        given.setdefault(name, []).append(value)
    twice = [name for name, values in given.items() if len(values) > 1 and name not in _REPEATABLE]
    if twice:
        raise InvalidInput(FieldFault(name, "is given more than once") for name in twice)
    fields = {name: values if name in _REPEATABLE else values[0] for name, values in given.items()}
    query = validated(ListQuery, fields)
    if faults := [*_contradictions(query)]:
        raise InvalidInput(faults)
    return query


def _contradictions(query: ListQuery) -> Iterator[FieldFault]:
    if query.after is not None and query.before is not None:
        yield FieldFault("before", "cannot be combined with after")
    for name in ("after", "before"):
        mark: PageMark | KeyMark | None = getattr(query, name)
        if mark is None:
            continue
        if isinstance(mark, PageMark) != query.is_by_id or (isinstance(mark, KeyMark) and mark.name != query.name):
            yield FieldFault(name, "is the mark of a list with another sort or search")
    if query.q is not None and query.sort is not None:
        yield FieldFault("sort", "cannot be combined with q, which sorts its matches itself")
    if query.q is not None and query.updated_since is not None:
        yield FieldFault("updated_since", "cannot be combined with q: no index serves both")
    if query.updated_since is not None and query.order.field != "updated_at":
        yield FieldFault("sort", "must be updated_at or -updated_at together with updated_since: no index serves both")


def require_visible(query: ListQuery, visible: VisibleFields) -> None:
    """Raise InvalidInput for each parameter whose answer would tell something of a field that clients may not see."""
    asked: dict[str, tuple[str, ...]] = {name: (name,) for name in FILTER_FIELDS if getattr(query, name)}
    if query.sort is not None:
        asked["sort"] = (query.order.field,)
    if query.q is not None:
        asked["q"] = ("customer_name", "product_name")
    if query.updated_since is not None:
        asked["updated_since"] = ("updated_at",)
    hidden = [parameter for parameter, about in asked.items() if not all(map(visible.shows, about))]
    if hidden:
        raise InvalidInput(FieldFault(parameter, NOT_VISIBLE) for parameter in hidden)
