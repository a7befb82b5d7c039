"""A copy of all orders that fit: what the events of the stream make of it, without any network."""

from collections.abc import Mapping, Sequence
from typing import Any

from live_orders.changes import Change, Operation, Order
from live_orders.copy_state import CopyState
from live_orders.cursor import Cursor


class Replica(CopyState):
    """Takes events in their order. While a snapshot is under way the former copy stays, marked as stale."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Order] = {}
        self._arriving: dict[str, Order] | None = {}  # a snapshot that is not complete
        self._ahead: dict[str, Cursor] = {}  # orders that were fetched, and are newer than the copy

    def begin(self, reason: str) -> None:
        """A snapshot follows, because the changes since the last one cannot be delivered."""
        self._arriving = {}
        if self.is_loaded:
            self.doubt("snapshot", reason)

    def add(self, part: int, orders: Sequence[Order]) -> None:
        """Take a part of a snapshot; part 0 begins a new one."""
        if part == 0 or self._arriving is None:
            self._arriving = {}
        self._arriving.update((order["_id"], order) for order in orders)

    def complete(self, cursor: str) -> None:
        """The snapshot is complete, as of the cursor: it becomes the copy."""
        if self._arriving is not None:
            self.rows, self._arriving = self._arriving, None
        self._ahead.clear()
        self.loaded(cursor)

    def apply(self, change: Change) -> bool:
        """Take a change; return False where the order has to be fetched, because the change comes without it."""
        self.cursor = change.cursor
        ahead = self._ahead.get(change.id)
        if ahead is not None and ahead.has_passed(self.position):
            return True
        self._ahead.pop(change.id, None)
        if change.operation is Operation.DELETE:
            self.rows.pop(change.id, None)
        elif change.data is None:
            return False
        else:
            self.rows[change.id] = change.data
        return True

    def amend(self, id: str, order: Order | None, cursor: str | None) -> None:
        """Take an order that was fetched as of the cursor; None: there is none, or it is not ours to see."""
        read_at = Cursor.parse(cursor)
        if read_at is not None:
            self._ahead[id] = read_at
        if order is None:
            self.rows.pop(id, None)
        else:
            self.rows[id] = order

    def reached(self, cursor: str) -> None:
        """All changes up to the cursor have been sent, though none may have fitted the filter."""
        if self.is_loaded and Cursor.parse(cursor) is not None:
            self.cursor = cursor


def fits(order: Mapping[str, Any], wanted: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether an order fits a filter: every field of it has one of the texts given."""
    return all(order.get("_id" if field == "ids" else field) in values for field, values in wanted.items())
