"""The rules for orders: validates everything that clients ask to write or list."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from services.common.ids import InvalidId, canonical
from services.gateway.page_mark import PageMark

LONGEST_NAME = 200
LARGEST_PAGE = 500
DEFAULT_PAGE = 100
MAX_REPEATS = 100  # of one parameter
NO_ID = "must be an order's id, as lists and events give it"
_MAX_FIELDS = 100  # of a body, and parameters of a query besides the repeatable ones; no honest client needs as many
_MAX_PARAMETERS = 3 * MAX_REPEATS + _MAX_FIELDS
_MAX_FAULTS = 20  # a body of a hundred wrong fields must not be answered with a hundred sentences
_LONGEST_FIELD = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc


class FieldFault(NamedTuple):
    """One fault in a client's input; an empty ``field`` means the input as a whole."""

    field: str
    message: str


class InvalidInput(ValueError):
    """The client's input breaks the rules; ``faults`` names them field by field and never repeats a value.

    Only the first faults are reported.
    """

    def __init__(self, faults: Iterable[FieldFault]) -> None:
        first = islice(faults, _MAX_FAULTS)
        self.faults = tuple(FieldFault(name[:_LONGEST_FIELD], text) for name, text in first)
        super().__init__("; ".join(f"{field or 'body'}: {message}" for field, message in self.faults))


def _printable(text: str) -> str:
    # NUL and line breaks in a name end up in logs, terminals and spreadsheets.
    if _CONTROL.search(text):
        raise PydanticCustomError("control_character", "must not contain control characters")
    return text


def _id(text: str) -> str:
    try:
        return canonical(text)
    except InvalidId:
        raise PydanticCustomError("id", NO_ID) from None


def _mark(text: str) -> PageMark:
    return PageMark.parse(text)


def _digits(text: object) -> object:
    # int() also accepts " 5", "1_0" and digits of other scripts, which in a URL are a mistake.
    if isinstance(text, str) and not re.fullmatch(r"[0-9]{1,9}", text):
        raise PydanticCustomError("int_parsing", f"must be a whole number from 1 to {LARGEST_PAGE}")
    return text


# Space around a name is a typo: it is stripped before the length is checked and the name is stored.
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME),
    AfterValidator(_printable),
    Field(json_schema_extra={"pattern": r"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f]*$"}),
]
Status = Literal["pending", "shipped", "delivered"]
OrderId = Annotated[str, AfterValidator(_id), WithJsonSchema({"type": "string"})]
# Matched as given: other programs may have stored names that this API would refuse.
SoughtName = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
_T = TypeVar("_T")
Several = Annotated[tuple[_T, ...], Field(max_length=MAX_REPEATS)]


class NewOrder(BaseModel):
    """An order as a client sends it; the server sets `_id` and `updated_at`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    customer_name: Name
    product_name: Name
    status: Status = "pending"


def _optional(schema: dict[str, Any]) -> None:
    """Describe a field that may be omitted but must not be null; None stands for omitted here."""
    schema.pop("default", None)
    schema.update(schema.pop("anyOf", [{}])[0])


class OrderChange(BaseModel):
    """The fields of an order to change, at least one; the others stay as they are."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra={"minProperties": 1})

    customer_name: Name | None = Field(default=None, json_schema_extra=_optional)
    product_name: Name | None = Field(default=None, json_schema_extra=_optional)
    status: Status | None = Field(default=None, json_schema_extra=_optional)

    @field_validator("*", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if value is None:
            raise PydanticCustomError("null", "must not be null; leave the field out to keep it")
        return value

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "needs at least one of customer_name, product_name, status")
        return self

    def fields(self) -> dict[str, str]:
        """Return only the fields to change."""
        return self.model_dump(exclude_unset=True)


class ListQuery(BaseModel):
    """Which orders a list shows: newest first, `limit` of them, below the one that `after` marks.

    The conditions are those of a live filter, so that a list and the stream that follows it can show the same orders:
    one of these ids, one of these statuses and one of these customers, each given by repeating the parameter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)] = DEFAULT_PAGE
    after: Annotated[PageMark, PlainValidator(_mark), WithJsonSchema({"type": "string"})] | None = Field(
        default=None, json_schema_extra=_optional
    )
    id: Several[OrderId] = ()
    status: Several[Status] = ()
    customer_name: Several[SoughtName] = ()


_REPEATABLE = ("id", "status", "customer_name")

Model = TypeVar("Model", bound=BaseModel)


def parse_new(data: object) -> NewOrder:
    """Check the body of a POST; raise InvalidInput."""
    return _validated(NewOrder, data)


def parse_change(data: object) -> OrderChange:
    """Check the body of a PUT; raise InvalidInput."""
    return _validated(OrderChange, data)


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
    return _validated(ListQuery, {name: values if name in _REPEATABLE else values[0] for name, values in given.items()})


def parse_id(text: str) -> str:
    """Return the canonical text of an order's id; raise InvalidInput."""
    try:
        return canonical(text)
    except InvalidId:
        raise InvalidInput([FieldFault("id", NO_ID)]) from None


def _validated(model: type[Model], data: object) -> Model:
    if isinstance(data, dict) and len(data) > _MAX_FIELDS:  # each unknown field would be an error with its own text
        raise InvalidInput([FieldFault("", f"must not have more than {_MAX_FIELDS} fields")])
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInput(FieldFault(_field(one["loc"]), _message(one)) for one in found) from None


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else ""


_RANGE = f"must be a whole number from 1 to {LARGEST_PAGE}"
_MESSAGES = {
    "model_type": "must be a JSON object",
    "missing": "is missing",
    "extra_forbidden": "is not an accepted field",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode text",
    "string_too_short": "must not be empty",
    "string_too_long": f"must have at most {LONGEST_NAME} characters",
    "too_long": f"must not be given more than {MAX_REPEATS} times",
    "literal_error": f"must be one of {', '.join(map(repr, get_args(Status)))}",
    "greater_than_equal": _RANGE,
    "less_than_equal": _RANGE,
}


def _message(fault: ErrorDetails) -> str:
    # pydantic's message where it is our own, from the validators above
    return _MESSAGES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
