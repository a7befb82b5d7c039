"""What the rules for input share: the types of fields, and how a fault is named."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from services.common.ids import COMMON_IDS, InvalidId, canonical

LONGEST_NAME = 200
MAX_REPEATS = 100  # of one parameter
NO_ID = "must be an order's id, as lists and events give it"
NOT_VISIBLE = "is not shown to clients, so they cannot filter by it"
MAX_FIELDS = 100  # of a body, and parameters of a query besides the repeatable ones; no honest client needs as many
MAX_FAULTS = 20  # a body of a hundred wrong fields must not be answered with a hundred sentences
_LONGEST_FIELD = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc


class FieldFault(NamedTuple):
    """One fault in a client's input; an empty ``field`` means the input as a whole.

    ``path`` leads to the field where that is not at the top of the body.
    """

    field: str
    message: str
    path: tuple[str, ...] = ()


class InvalidInput(ValueError):
    """The client's input breaks the rules; ``faults`` names them field by field and never repeats a value.

    Only the first faults are reported.
    """

    def __init__(self, faults: Iterable[FieldFault]) -> None:
        first = islice(faults, MAX_FAULTS)
        self.faults = tuple(fault._replace(field=fault.field[:_LONGEST_FIELD]) for fault in first)
        super().__init__(
            "; ".join(f"{'/'.join((*path, field)) or 'body'}: {text}" for field, text, path in self.faults)
        )


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


_PRINTABLE = r"[^\u0000-\u001f\u007f-\u009f]*"
# One is no space. Not by a lookahead: tools that make texts after a pattern try many until one happens to fit it.
_NAME = rf"^{_PRINTABLE}[^\s\u0000-\u001f\u007f-\u009f]{_PRINTABLE}$"
# Space around a name is a typo: it is stripped before the length is checked and the name is stored.
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME),
    AfterValidator(_printable),
    Field(json_schema_extra={"pattern": _NAME}),
]
Status = Literal["pending", "shipped", "delivered"]
ID_SCHEMA = {"type": "string", "pattern": COMMON_IDS}
OrderId = Annotated[str, AfterValidator(_id), WithJsonSchema(ID_SCHEMA)]
# Matched as given: other programs may have stored names that this API would refuse.
SoughtName = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
_T = TypeVar("_T")
Several = Annotated[tuple[_T, ...], Field(max_length=MAX_REPEATS)]


def optional(schema: dict[str, Any]) -> None:
    """Describe a field that may be omitted but must not be null; None stands for omitted here."""
    schema.pop("default", None)
    schema.update(schema.pop("anyOf", [{}])[0])


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], data: object) -> Model:
    """Return the data as the model; raise InvalidInput."""
    if isinstance(data, dict) and len(data) > MAX_FIELDS:  # each unknown field would be an error with its own text
        raise InvalidInput([FieldFault("", f"must not have more than {MAX_FIELDS} fields")])
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInput(FieldFault(_field(one["loc"]), fault_message(one)) for one in found) from None


def _field(location: tuple[int | str, ...]) -> str:
    return str(location[0]) if location else ""


_RANGE = "must be a whole number from 1 to 500"
_MESSAGES = {
    "model_type": "must be a JSON object",
    "missing": "is missing",
    "extra_forbidden": "is not an accepted field",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode text",
    "string_too_short": "must not be empty",
    "string_too_long": f"must have at most {LONGEST_NAME} characters",
    "too_long": f"must not be given more than {MAX_REPEATS} times",
    "union_tag_invalid": "must be one of 'INSERT', 'UPDATE', 'DELETE'",
    "union_tag_not_found": "must be one of 'INSERT', 'UPDATE', 'DELETE'",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "literal_error": f"must be one of {', '.join(map(repr, get_args(Status)))}",
    "greater_than_equal": _RANGE,
    "less_than_equal": _RANGE,
}


def fault_message(fault: ErrorDetails) -> str:
    """Return what is wrong, in our words."""
    # pydantic's message where it is our own, from the validators above
    return _MESSAGES.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
