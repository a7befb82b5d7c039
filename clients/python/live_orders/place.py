"""A place in a sorted list, after which a window can begin: a plain value, which JSON can carry."""

import re
from collections.abc import Sequence
from typing import Any, TypedDict
from urllib.parse import parse_qs, urlsplit

from live_orders.changes import Order
from live_orders.errors import LiveOrdersError

# The server marks an order whose key may not fit into a header by one before it and the number of orders since then.
_LONGEST_ID, _LONGEST_TEXT = 300, 200
_NEXT = re.compile(r'<([^>]*)>; rel="next"')


class Place(TypedDict):
    """Where a list that is sorted by ``sort`` goes on, in the server's word for it (``mark``).

    ``order`` has the id of the order that was there and the field of ``sort``.
    """

    sort: str
    mark: str
    order: Order


def place_below(sort: str, count: int, orders: Sequence[Order], link: str) -> Place | None:
    """Return the place below the last of so many orders, by the header `Link` of their list.

    None: there is no order below. Raise LiveOrdersError where the last order cannot mark a place.
    """
    found = _NEXT.search(link)
    if found is None:
        return None
    (mark,) = parse_qs(urlsplit(found[1]).query)["after"]
    field = sort.removeprefix("-")
    # Where there are fewer, the last ones were left out, and the mark is that of one of those.
    if len(orders) < count or not _is_its_own(mark, orders[-1], field):
        raise LiveOrdersError(
            f"next_place: the {field} of the last order cannot mark a place; end the window elsewhere"
        )
    order = orders[-1]
    # Of an array, the order of the list knows only that it is one.
    return Place(sort=sort, mark=mark, order={**order, field: []} if isinstance(order.get(field), list) else order)


def check_place(place: Any, sort: str) -> None:
    """Check a place that may come from an address."""
    match place:
        case {"sort": str(other), "mark": str(), "order": {"_id": str()}}:
            if other != sort:
                raise LiveOrdersError(f"window.after: a place in a list that is sorted by {other}, not by {sort}")
        case _:
            raise LiveOrdersError("window.after must be what next_place gives")


def _is_its_own(mark: str, order: Order, field: str) -> bool:
    """Tell whether the mark is that of this very order."""
    if field == "_id":
        return bool(mark == order["_id"])
    value = order.get(field)
    is_short = len(value) <= _LONGEST_TEXT if isinstance(value, str) else not isinstance(value, dict)
    return len(order["_id"]) <= _LONGEST_ID and is_short
