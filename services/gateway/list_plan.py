"""Plans how a list is read: its parts, and the filters and indexes of each; refuses what no index serves."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bson import ObjectId

from services.common.order_indexes import ASKED_FOR, CUSTOMER, NEED_ASKING, STATUS_CUSTOMER, arrays_of, serving
from services.gateway.audience import Rights
from services.gateway.conditions import LONGEST_PATTERN, exactly_one_of, ids_condition
from services.gateway.filters import EVERYTHING, Filter
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.list_query import ListQuery
from services.gateway.list_stretch import NOT_ARRAY, ListPart, Shape, Stretch
from services.gateway.snapshot_read import Document, Question

# MongoDB merges so many scans of an index in order; of more, it would sort the results in memory.
MAX_STREAMS = 200
NOTHING: Document = {"_id": {"$in": []}}
_HEX = frozenset("0123456789abcdef")
_LAST_CHARACTER = "\U0010ffff"


class ListWay(NamedTuple):
    """One way for an order to be in a list: it has one of each of these values; None means any.

    ``of_rights`` names the fields that rights limit: those are compared exactly in MongoDB, under any collation.
    """

    wanted: Filter
    of_rights: frozenset[str] = frozenset()

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it limits."""
        return frozenset([*([] if self.wanted.ids is None else ["id"]), *self.wanted.values_by_field])

    @property
    def fits_a_pattern(self) -> bool:
        """Whether MongoDB can compare it exactly."""
        values = [value for values in self.wanted.values_by_field.values() for value in values]
        return sum(map(len, values)) <= LONGEST_PATTERN and not any("\0" in value for value in values)


class Branch(NamedTuple):
    """Orders that are read from one index."""

    conditions: list[Document]
    index_name: str


def ways(query: ListQuery, rights: Rights) -> list[ListWay]:
    """Return the ways: those of the query, as far as rights allow them."""
    asked = Filter(
        tuple(dict.fromkeys(query.id)) or None,
        tuple(dict.fromkeys(query.status)) or None,
        tuple(dict.fromkeys(query.customer_name)) or None,
    )
    if rights == EVERYTHING:
        return [ListWay(asked)]
    found = ((each, asked.narrowed(each)) for each in rights)
    return [ListWay(both, ListWay(each).fields) for each, both in found if both is not None]


def parts(query: ListQuery) -> tuple[ListPart, ...]:
    """Return the parts of the list, in their order."""
    if query.q is not None:
        return _matching(query.q)
    if query.updated_since is not None:
        return (ListPart(Shape.RANGE, "updated_at", {"$gte": query.updated_since}),)
    if query.order.field == "_id":
        return (ListPart(Shape.WHOLE, "_id"),)
    return (ListPart(Shape.WHOLE, query.order.field), ListPart(Shape.ARRAYS, query.order.field))


def _matching(text: str) -> tuple[ListPart, ...]:
    found = [ListPart(Shape.RANGE, field, _prefixed(text)) for field in ("_id", "customer_name", "product_name")]
    digits = text.lower()
    if len(digits) <= 24 and _HEX.issuperset(digits):
        first, last = ObjectId(digits.ljust(24, "0")), ObjectId(digits.ljust(24, "f"))
        found.insert(0, ListPart(Shape.RANGE, "_id", {"$gte": first, "$lte": last}))
    return tuple(found)


def _prefixed(text: str) -> Document:
    """Return the bounds of the strings that begin with a text."""
    rest = text.rstrip(_LAST_CHARACTER)
    if not rest:
        return {"$gte": text}  # no text is beyond those
    following = ord(rest[-1]) + 1
    return {"$gte": text, "$lt": rest[:-1] + chr(0xE000 if following == 0xD800 else following)}


def branch(way: ListWay, part: ListPart, *, has_arrays: bool = True) -> Branch | None:
    """Return what to read of a part for one way; None where no index serves it."""
    index = serving(way.fields, part.field)
    if index == STATUS_CUSTOMER and len(way.wanted.status or ()) * len(way.wanted.customer_name or ()) > MAX_STREAMS:
        index = CUSTOMER  # only with every status, and then nearly all orders of these customers are shown
    if index is None:
        return None
    conditions = _conditions(way, has_arrays=has_arrays)
    return Branch([*conditions.values(), *([ASKED_FOR] if index in NEED_ASKING else [])], index)


def _conditions(way: ListWay, *, has_arrays: bool) -> dict[str, Document]:
    wanted, found = way.wanted, {}
    guard = NOT_ARRAY if has_arrays else {}
    if wanted.ids is not None:
        found["id"] = ids_condition(wanted.ids)
    for name, values in wanted.values_by_field.items():
        found[name] = {name: exactly_one_of(values) if name in way.of_rights else {"$in": [*values], **guard}}
    return found


def is_merged(query: ListQuery, rights: Rights) -> bool:
    """Tell whether MongoDB is asked for several things at once, and merges what it finds."""
    return len(_expanded(query, rights)) > 1


def question(query: ListQuery, rights: Rights, part: ListPart, stretch: Stretch) -> Question:
    """Return what to ask MongoDB for a stretch of a part."""
    return _asked([branch(way, part) for way in _expanded(query, rights)], part, stretch)


def count_question(query: ListQuery, rights: Rights, *, has_arrays: bool, has_collation: bool) -> Question:
    """Return what to count: the orders of the list, exactly, also under a collation where that can be.

    Where nothing has arrays MongoDB is not asked about them: it would read each order rather than its key.
    """
    listed = _limiting(query) or (ListPart(Shape.WHOLE, "_id"),)  # with arrays or without
    found = _expanded(query, rights, is_exact=has_collation)
    asked = [
        _asked(
            [branch(way, part, has_arrays=has_arrays) for way in found],
            part,
            Stretch(part.matches(has_arrays=has_arrays), {}),
        )
        for part in listed
    ]
    return asked[0] if len(asked) == 1 else Question({"$or": [each.conditions for each in asked]})


def fields_compared(query: ListQuery) -> frozenset[str]:
    """Return the fields other than the id that decide whether an order is in the list."""
    limiting = {part.field for part in _limiting(query)}
    return frozenset(limiting.union(*(way.fields for way in ways(query, EVERYTHING))) - {"_id", "id"})


def _limiting(query: ListQuery) -> tuple[ListPart, ...]:
    """Return the parts that say which orders are in the list: none where they only say in which order."""
    return parts(query) if query.q is not None or query.updated_since is not None else ()


def _asked(branches: Iterable[Branch | None], part: ListPart, stretch: Stretch) -> Question:
    found = [each for each in branches if each is not None]
    either = [_all([*each.conditions, *stretch.conditions]) for each in found]
    indexes = {each.index_name for each in found}
    hint = arrays_of(part.field) if part.shape is Shape.ARRAYS else indexes.pop() if len(indexes) == 1 else None
    if not either:
        return Question(NOTHING, sort=stretch.sort)
    return Question(either[0] if len(either) == 1 else {"$or": either}, sort=stretch.sort, hint=hint)


def _all(conditions: list[Document]) -> Document:
    return {"$and": conditions} if len(conditions) > 1 else conditions[0] if conditions else {}


def _expanded(query: ListQuery, rights: Rights, *, is_exact: bool = False) -> list[ListWay]:
    """Return the ways; where they are several, with one customer each, because MongoDB plans each branch alone."""
    found = [
        way._replace(of_rights=way.fields) if is_exact and way.fits_a_pattern else way for way in ways(query, rights)
    ]
    single = [ListWay(each, way.of_rights) for way in found for each in _single(way.wanted)]
    return single if len(found) > 1 and len(single) <= MAX_STREAMS else found


def _single(wanted: Filter) -> Iterator[Filter]:
    customers = [None] if wanted.customer_name is None else [(one,) for one in wanted.customer_name]
    yield from (Filter(wanted.ids, wanted.status, customer) for customer in customers)


def check(query: ListQuery, rights: Rights) -> None:
    """Raise InvalidInput, naming the parameter, where no index serves the list."""
    found = ways(query, rights)
    for part in parts(query):
        indexes = set()
        for way in found:
            one = branch(way, part)
            if one is None:
                raise InvalidInput([_refusal(query, part, way.fields, is_limited=bool(way.of_rights))])
            indexes.add(one.index_name)
        if len(indexes) > 1 and part.field != "_id":  # MongoDB would choose others, and sort in memory
            fields = frozenset[str]().union(*(way.fields for way in found))
            raise InvalidInput([_refusal(query, part, fields, is_limited=True)])


def _refusal(query: ListQuery, part: ListPart, fields: frozenset[str], *, is_limited: bool) -> FieldFault:
    names = " and ".join(sorted(fields)) + (", to which you are limited" if is_limited else "")
    why = "no index serves both"
    if query.q is not None:
        return FieldFault("q", f"cannot be combined with {names}: {why}")
    if query.sort is None:
        return FieldFault("updated_since", f"cannot be combined with {names}: {why}")
    return FieldFault("sort", f"cannot be {part.field} together with {names}: {why}")
