"""Validates the orders that clients write, and their ids."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from services.common.ids import InvalidId, canonical
from services.gateway.input_rules import (
    NO_ID,
    FieldFault,
    InvalidInput,
    Name,
    Status,
    optional,
    validated,
)


def _without_default(schema: dict[str, Any]) -> None:
    schema["description"] = f"`{schema.pop('default')}` where it is left out."


class NewOrder(BaseModel):
    """An order as a client sends it; the server sets `_id` and `updated_at`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    customer_name: Name
    product_name: Name
    # Without the keyword `default`, of which generators of clients make a field that is always there.
    status: Status = Field(default="pending", json_schema_extra=_without_default)


class OrderChange(BaseModel):
    """The fields of an order to change, at least one; the others stay as they are."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra={"minProperties": 1})

    customer_name: Name | None = Field(default=None, json_schema_extra=optional)
    product_name: Name | None = Field(default=None, json_schema_extra=optional)
    status: Status | None = Field(default=None, json_schema_extra=optional)

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


def parse_new(data: object) -> NewOrder:
    """Check the body of a POST; raise InvalidInput."""
    return validated(NewOrder, data)


def parse_change(data: object) -> OrderChange:
    """Check the body of a PUT or PATCH; raise InvalidInput."""
    return validated(OrderChange, data)


def parse_id(text: str) -> str:
    """Return the canonical text of an order's id; raise InvalidInput."""
    try:
        return canonical(text)
    except InvalidId:
        raise InvalidInput([FieldFault("id", NO_ID)]) from None
