"""The writes of a batch, in the words of the events: validates what clients send as one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.gateway.input_rules import MAX_FAULTS, MAX_FIELDS, FieldFault, InvalidInput, OrderId, fault_message
from services.gateway.orders import NewOrder, OrderChange

LARGEST_BATCH = 500
_KINDS = ("INSERT", "UPDATE", "DELETE")
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class InsertOrder(BaseModel):
    """Create an order."""

    model_config = _STRICT

    operation: Literal["INSERT"]
    order: NewOrder


class UpdateOrder(BaseModel):
    """Change some fields of an order."""

    model_config = _STRICT

    operation: Literal["UPDATE"]
    id: OrderId
    order: OrderChange


class DeleteOrder(BaseModel):
    """Delete an order."""

    model_config = _STRICT

    operation: Literal["DELETE"]
    id: OrderId


OrderWrite = InsertOrder | UpdateOrder | DeleteOrder
_Item = Annotated[OrderWrite, Field(discriminator="operation")]


class OrderBatch(BaseModel):
    """Writes that are done together or not at all, each of another order."""

    model_config = _STRICT

    operations: Annotated[tuple[_Item, ...], Field(min_length=1, max_length=LARGEST_BATCH)]


_ITEM: TypeAdapter[OrderWrite] = TypeAdapter(_Item)


def parse_batch(operations: Sequence[object]) -> list[OrderWrite]:
    """Check the operations of a batch; raise InvalidInput, whose faults say where in the body they are."""
    writes: list[OrderWrite] = []
    faults: list[FieldFault] = []
    first: dict[str, int] = {}
    for number, item in enumerate(operations):
        try:
            write = _ITEM.validate_python(_bounded(item, number))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            faults += [_fault(number, one["loc"], fault_message(one)) for one in found[:MAX_FAULTS]]
        except InvalidInput as error:
            faults += error.faults
        else:
            writes.append(write)
            faults += _duplicates(write, number, first)
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        raise InvalidInput(faults)
    return writes


def operations_of(data: object) -> list[object]:
    """Return the operations in the body of a batch, at most `LARGEST_BATCH` and yet unchecked; raise InvalidInput."""
    if not isinstance(data, dict):
        raise InvalidInput([FieldFault("", "must be a JSON object")])
    unknown = [name for name in data if name != "operations"]
    if unknown:
        raise InvalidInput(FieldFault(name, "is not an accepted field") for name in unknown)
    if "operations" not in data:
        raise InvalidInput([FieldFault("operations", "is missing")])
    items = data["operations"]
    if not isinstance(items, list) or not 1 <= len(items) <= LARGEST_BATCH:
        raise InvalidInput([FieldFault("operations", f"must be a list of 1 to {LARGEST_BATCH} operations")])
    return items


def _bounded(item: object, number: int) -> object:
    """Refuse an object of very many fields: each would be an error with its own text."""
    for part, path in ((item, ("operations", str(number))), (_order(item), ("operations", str(number), "order"))):
        if isinstance(part, Mapping) and len(part) > MAX_FIELDS:
            raise InvalidInput([FieldFault(path[-1], f"must not have more than {MAX_FIELDS} fields", path[:-1])])
    return item


def _order(item: object) -> object:
    return item.get("order") if isinstance(item, Mapping) else None


def _fault(number: int, location: tuple[int | str, ...], message: str) -> FieldFault:
    # pydantic names the kind of the operation first, which the body does not.
    inner = [str(part) for part in (location[1:] if location[:1] and location[0] in _KINDS else location)]
    if not inner and message.startswith("must be one of"):
        inner = ["operation"]
    path = ["operations", str(number), *inner]
    return FieldFault(path[-1], message, tuple(path[:-1]))


def _duplicates(write: OrderWrite, number: int, first: dict[str, int]) -> Iterator[FieldFault]:
    """Refuse a second write of the same order: which of the two is meant to win would be a guess."""
    if isinstance(write, InsertOrder):
        return
    earlier = first.setdefault(write.id, number)
    if earlier != number:
        yield FieldFault("id", f"is the same as in operation {earlier}", ("operations", str(number)))
