"""What changed in one order, change by change, as far as the rights of the reader allow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from services.common.cursor import Cursor, Position
from services.common.documents import Json
from services.common.envelope import Operation
from services.gateway.audience import Audience, Rights, permits, view_of
from services.gateway.event import Event
from services.gateway.filters import EVERYTHING, Verdict, verdict

_LONGEST = 65_536  # bytes of a state of the order that is kept; of a larger one only what decides filters

Order = Mapping[str, Json]


class PastChange(NamedTuple):
    """One change: the order after and before it as JSON, and their deciding fields; each None where unknown.

    They are decoded as each change is told: two hundred states with thousands of fields each would take 200 MB.

    A deletion has nothing after it; its ``deciding`` fields are those of the order that was deleted, as in an event.
    """

    id: str
    position: Position
    operation: Operation
    at: str
    after_order: bytes | None
    before_order: bytes | None
    deciding: dict[str, Any] | None
    deciding_before: dict[str, Any] | None
    is_apart: bool = False  # there were others before it which are not to be told


class ToldChange(NamedTuple):
    """What is told of a change."""

    position: Position
    told: dict[str, Json]


class _Data(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_DATA = msgspec.json.Decoder(_Data)
_NOTHING = b"null"


def past_change(event: Event, before: Order | None = None) -> PastChange:
    """Return an event as a past change; ``before`` is the order before it, where that is stored."""
    order = _kept(bytes(_DATA.decode(event.envelope).data))
    is_deletion = event.operation is Operation.DELETE
    return PastChange(
        event.id,
        event.position,
        event.operation,
        event.at,
        after_order=None if is_deletion else order,
        before_order=order if is_deletion and before is None else _kept(orjson.dumps(before)),
        deciding=event.deciding,
        deciding_before=event.deciding_before,
    )


def _kept(order: bytes) -> bytes | None:
    """Return a state of an order as JSON if there is one, and it is small enough to be kept."""
    return None if len(order) > _LONGEST or order == _NOTHING else order


def is_told(change: PastChange, rights: Rights) -> bool:
    """Tell whether one with these rights may know of the change at all."""
    audience = Audience(EVERYTHING, rights)
    return verdict(audience.shown, change, audience.unknown) in (Verdict.SHOW, Verdict.LEFT)


def visible_changes(
    newest_first: Sequence[PastChange],
    most: int,
    rights: Rights,
    epoch: str,
    shows: Callable[[str], bool] = lambda _: True,
) -> Iterator[ToldChange]:
    """Give those of the first ``most`` changes that one with these rights may know of, and what each did.

    Only fields that ``shows`` allows are told.
    """
    audience = Audience(EVERYTHING, rights)
    following: list[PastChange | None] = [*newest_first, None][1:]
    for change, older in list(zip(newest_first, following, strict=True))[:most]:
        described: dict[str, Json] = {
            "operation": change.operation,
            "cursor": str(Cursor(epoch, change.position, view_of(rights))),
            "at": change.at,
        }
        match verdict(audience.shown, change, audience.unknown):
            case Verdict.SHOW:
                yield ToldChange(change.position, {**described, **_difference(change, older, rights, shows)})
            case Verdict.LEFT:
                left: dict[str, Json] = {"operation": Operation.DELETE, "left": True, "fields": []}
                yield ToldChange(change.position, {**described, **left})
            case Verdict.HIDE | Verdict.UNKNOWN:
                pass


def _difference(
    change: PastChange, older: PastChange | None, rights: Rights, shows: Callable[[str], bool]
) -> dict[str, Json]:
    before, before_deciding = _before(change, older, rights)
    match change.operation:
        case Operation.INSERT:
            before, before_deciding = {}, {}
            after, after_deciding = _decoded(change.after_order), change.deciding
        case Operation.DELETE:
            after, after_deciding = {}, {}
            before_deciding = change.deciding
        case Operation.UPDATE:
            after, after_deciding = _decoded(change.after_order), change.deciding
    found = _fields(before, after, before_deciding or {}, after_deciding or {})
    fields: list[Json] = [{"field": name, **values} for name, values in found if shows(name)]
    is_incomplete = after is None or (change.operation is Operation.DELETE and before is None)
    return {"fields": fields, **({"incomplete": True} if is_incomplete else {})}


def _before(
    change: PastChange, older: PastChange | None, rights: Rights
) -> tuple[Order | None, Mapping[str, Any] | None]:
    """Return the order before a change and its deciding fields, where both are known and inside of the rights."""
    deciding = change.deciding_before if change.operation is Operation.UPDATE else change.deciding
    order = change.before_order
    if order is None and older is not None and not change.is_apart and older.operation is not Operation.DELETE:
        order = older.after_order
        deciding = older.deciding if deciding is None else deciding
    if rights != EVERYTHING and (deciding is None or not permits(rights, change.id, deciding)):
        return None, None
    return _decoded(order), deciding


def _decoded(order: bytes | None) -> Order | None:
    found: Order | None = None if order is None else orjson.loads(order)
    return found


def _fields(
    before: Order | None, after: Order | None, before_deciding: Mapping[str, Any], after_deciding: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield the fields that differ; `from` is missing where it is unknown, null where there was no such field."""
    old = before_deciding if before is None else before
    new = after_deciding if after is None else after
    for name in sorted({*new, *(old if after is not None else {})}):
        if name == "_id":
            continue
        to = new.get(name)
        if before is None and name not in before_deciding:
            yield name, {"to": to}
        elif (name in old) != (name in new) or old.get(name) != to:
            yield name, {"from": old.get(name), "to": to}
