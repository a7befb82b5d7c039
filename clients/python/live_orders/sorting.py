"""The order of a sorted list, as MongoDB has it and as far as JSON values tell it."""

import re
from collections.abc import Sequence
from typing import Any

from live_orders.changes import Order

_FIELDS = {"_id", "updated_at", "customer_name", "product_name", "status"}
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
# In JSON these may be dates, large or decimal numbers, ObjectIds or UUIDs as well as texts.
_DOUBTFUL = re.compile(
    r"[+-]?\d{4,6}-\d\d-\d\dT.*Z|-?\d+(?:\.\d+)?(?:E[+-]?\d+)?|-?Infinity|NaN|[0-9a-f]{24}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.ASCII,
)
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_MARK = "~"  # of ids that are neither an ObjectId nor an ordinary string
_MARKED_STRING = "~s"

Key = tuple[int, Any]
"""What values are compared by: those of a lower rank come first."""

_NOTHING, _NUMBER, _TEXT, _LATER = range(
    4
)  # the last: ObjectIds and dates, which are never compared with each other here


class Sorting:
    """An order by a field, with ``-`` in front for descending order."""

    def __init__(self, sort: str) -> None:
        self._is_descending = sort.startswith("-")
        self._field = sort.removeprefix("-")

    @property
    def is_known(self) -> bool:
        """Whether there is such an order."""
        return self._field in _FIELDS

    def compare(self, one: Order, other: Order) -> int | None:
        """Return less than 0 where the first order comes first; None: only the server can tell."""
        a, b = one.get(self._field), other.get(self._field)
        found: int | None = 0
        if self._field != "_id":
            # In either direction, orders with an array in the field come last, by id.
            if isinstance(a, list) != isinstance(b, list):
                return 1 if isinstance(a, list) else -1
            if not isinstance(a, list):
                found = _compared(self._key(a), self._key(b))
        if found == 0 and one["_id"] != other["_id"]:
            found = _compared(_id_key(one["_id"]), _id_key(other["_id"]))
        return found if found is None or not self._is_descending else -found

    def place(self, orders: Sequence[Order], order: Order) -> int | None:
        """Return where an order belongs among sorted ones; None: only the server can tell."""
        low, high = 0, len(orders)
        while low < high:
            middle = (low + high) // 2
            found = self.compare(order, orders[middle])
            if found is None:
                return None
            if found < 0:
                high = middle
            else:
                low = middle + 1
        return low

    def _key(self, value: Any) -> Key | None:
        if value is None:
            return _NOTHING, 0
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _NUMBER, value
        if not isinstance(value, str):
            return None
        if self._field == "updated_at":
            return (_LATER, value) if _DATE.fullmatch(value) else None
        return None if _DOUBTFUL.fullmatch(value) else (_TEXT, value)


def _id_key(id: str) -> Key | None:
    if _OBJECT_ID.fullmatch(id):
        return _LATER, id
    if id.startswith(_MARKED_STRING):
        return _TEXT, id.removeprefix(_MARKED_STRING)
    return None if id.startswith(_MARK) else (_TEXT, id)


def _compared(a: Key | None, b: Key | None) -> int | None:
    if a is None or b is None:
        return None
    return (a > b) - (a < b)
