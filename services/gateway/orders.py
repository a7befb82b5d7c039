"""What an order may be: the rules for everything that clients ask to be written or listed."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from services.gateway.page_mark import marked_id

LONGEST_NAME = 200
LARGEST_PAGE = 500
USUAL_PAGE = 100
_MOST_FAULTS = 20  # a body of a thousand wrong fields must not be answered with a thousand sentences
_LONGEST_FIELD = 100


class Fault(NamedTuple):
    """One thing that is wrong with what a client sent; an empty ``field`` means the whole of it."""

    field: str
    message: str


class InvalidInput(ValueError):
    """What a client sent breaks the rules; ``faults`` says which, field by field, and never repeats a value."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(Fault(name[:_LONGEST_FIELD], text) for name, text in faults)[:_MOST_FAULTS]
        super().__init__("; ".join(f"{field or 'body'}: {message}" for field, message in self.faults))


def _printable(text: str) -> str:
    # NUL and line breaks in a name end in somebody's log, terminal or spreadsheet.
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise PydanticCustomError("control_character", "must not contain control characters")
    return text


def _mark(text: str) -> str:
    marked_id(text)
    return text


def _digits(text: object) -> object:
    # int() also takes " 5", "1_0" and digits of other scripts; a URL that says so was not meant.
    if isinstance(text, str) and not re.fullmatch(r"[0-9]{1,9}", text):
        raise PydanticCustomError("int_parsing", f"must be a whole number from 1 to {LARGEST_PAGE}")
    return text


# Space around a name is an accident of typing: it is cut off before the length is measured and the name is stored.
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)
]
Status = Literal["pending", "shipped", "delivered"]
OrderId = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{24}$")]


class NewOrder(BaseModel):
    """An order as a client gives it; `_id` and `updated_at` are the server's to set."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    customer_name: Name
    product_name: Name
    status: Status


def _optional(schema: dict[str, Any]) -> None:
    schema.pop("default", None)  # absent means "leave as it is", not null


class OrderChange(BaseModel):
    """The fields of an order to change, at least one; the others stay as they are."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra={"minProperties": 1})

    customer_name: Name | SkipJsonSchema[None] = Field(default=None, json_schema_extra=_optional)
    product_name: Name | SkipJsonSchema[None] = Field(default=None, json_schema_extra=_optional)
    status: Status | SkipJsonSchema[None] = Field(default=None, json_schema_extra=_optional)

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
        """Return only what is to change."""
        return self.model_dump(exclude_unset=True)


class ListQuery(BaseModel):
    """Which orders a list shows: newest first, `limit` of them, below the one that `after` marks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Annotated[int, Field(ge=1, le=LARGEST_PAGE), BeforeValidator(_digits)] = USUAL_PAGE
    after: Annotated[str, AfterValidator(_mark), WithJsonSchema({"type": "string"})] | None = None
    status: Status | None = None
    customer_name: Name | None = None


Model = TypeVar("Model", bound=BaseModel)


def parse_new(data: object) -> NewOrder:
    """Check the body of a POST; raise InvalidInput."""
    return _checked(NewOrder, data)


def parse_change(data: object) -> OrderChange:
    """Check the body of a PUT; raise InvalidInput."""
    return _checked(OrderChange, data)


def parse_query(pairs: Iterable[tuple[str, str]]) -> ListQuery:
    """Check the query string of a list, given as its pairs; raise InvalidInput."""
    pairs = list(pairs)
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise InvalidInput(Fault(name, "is given more than once") for name in twice)
    return _checked(ListQuery, dict(pairs))


def parse_id(text: str) -> str:
    """Check an order's id; raise InvalidInput."""
    if not re.fullmatch(r"[0-9a-fA-F]{24}", text):
        raise InvalidInput([Fault("id", "must be 24 hexadecimal digits")])
    return text.lower()


def _checked(model: type[Model], data: object) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=True, include_input=False)
        raise InvalidInput(Fault(_field(one["loc"]), _message(one["type"], one)) for one in found) from None


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else ""


def _message(kind: str, fault: Any) -> str:
    match kind:
        case "model_type":
            return "must be a JSON object"
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a field that can be given"
        case "string_type":
            return "must be a string"
        case "string_unicode":
            return "must be valid Unicode text"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"must have at most {LONGEST_NAME} characters"
        case "literal_error":
            return f"must be one of {fault['ctx']['expected'].replace(' or ', ', ')}"
        case "greater_than_equal" | "less_than_equal":
            return f"must be a whole number from 1 to {LARGEST_PAGE}"
        case _:
            return str(fault["msg"]).removeprefix("Value error, ")
