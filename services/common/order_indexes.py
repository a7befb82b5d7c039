"""The indexes of the orders: which there are, and which of them serves a list.

Each list needs one that has the values of its filters in front and then what it is sorted by, so that MongoDB reads
little more than it returns. Every index costs every write, hence a few that serve most, and the rest is refused.
"""

from typing import Any, NamedTuple

STATUSES = ("pending", "shipped", "delivered")


class OrderIndex(NamedTuple):
    """An index: its name, its fields (ascending, with `_id` last), and of which orders it is."""

    name: str
    fields: tuple[str, ...]
    only: dict[str, Any] | None = None

    @property
    def keys(self) -> list[tuple[str, int]]:
        """The fields as MongoDB takes them."""
        return [(field, 1) for field in self.fields]


def _by(name: str, *fields: str, only: dict[str, Any] | None = None) -> OrderIndex:
    return OrderIndex(name, (*fields, "_id"), only)


STATUS = "status_newest_first"
CUSTOMER = "customer_newest_first"
PRODUCT = "product"
UPDATED = "updated"
STATUS_UPDATED = "status_updated"
STATUS_CUSTOMER = "status_customer"
CUSTOMER_UPDATED = "customer_updated"
CUSTOMER_PRODUCT = "customer_product"

# True of every order. Only a question that says the same may be answered from such an index, so that MongoDB does not
# consider it for others, and then sort what it reads from it.
ASKED_FOR = {"_id": {"$exists": True}}
# A question has to ask for no more than its index has: told to take one that lacks orders, MongoDB does not show them.
# These have only what a filter can find: MongoDB refuses documents with arrays in two fields of an index, which other
# programs may write, unless the index does not have them anyway.
_HAS_CUSTOMER = {"customer_name": {"$gte": ""}, **ASKED_FOR}
_HAS_STATUS = {"status": {"$gte": min(STATUSES), "$lte": max(STATUSES)}, **ASKED_FOR}


def arrays_of(field: str) -> str:
    """Return the name of the index of the orders that have an array in this field: of none, nearly always."""
    return f"arrays_in_{field}"


INDEXES = (
    _by(STATUS, "status"),
    _by(CUSTOMER, "customer_name"),
    _by(PRODUCT, "product_name"),
    _by(UPDATED, "updated_at"),
    _by(STATUS_UPDATED, "status", "updated_at", only=_HAS_STATUS),
    _by(STATUS_CUSTOMER, "status", "customer_name", only=_HAS_STATUS),
    _by(CUSTOMER_UPDATED, "customer_name", "updated_at", only=_HAS_CUSTOMER),
    _by(CUSTOMER_PRODUCT, "customer_name", "product_name", only=_HAS_CUSTOMER),
    *(
        OrderIndex(arrays_of(field), ("_id", field), {field: {"$type": "array"}})
        for field in ("updated_at", "customer_name", "product_name", "status")
    ),
)

NEED_ASKING = frozenset(index.name for index in INDEXES if index.only and index.only.keys() >= ASKED_FOR.keys())

_SERVES: dict[tuple[frozenset[str], str], str] = {
    (frozenset(), "_id"): "_id_",
    (frozenset(), "updated_at"): UPDATED,
    (frozenset(), "customer_name"): CUSTOMER,
    (frozenset(), "product_name"): PRODUCT,
    (frozenset(), "status"): STATUS,
    (frozenset({"status"}), "_id"): STATUS,
    (frozenset({"status"}), "status"): STATUS,
    (frozenset({"status"}), "updated_at"): STATUS_UPDATED,
    (frozenset({"status"}), "customer_name"): STATUS_CUSTOMER,
    (frozenset({"status", "customer_name"}), "_id"): STATUS_CUSTOMER,
    (frozenset({"customer_name"}), "_id"): CUSTOMER,
    (frozenset({"customer_name"}), "customer_name"): CUSTOMER,
    (frozenset({"customer_name"}), "updated_at"): CUSTOMER_UPDATED,
    (frozenset({"customer_name"}), "product_name"): CUSTOMER_PRODUCT,
}


def serving(filters: frozenset[str], sort: str) -> str | None:
    """Return the index for a list with these filters and this sort, where there is one."""
    return "_id_" if "id" in filters and sort == "_id" else _SERVES.get((filters, sort))
