"""The first orders of a sorted list: what a list and the changes after it make of them, without any network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from live_orders.changes import Change, Operation, Order
from live_orders.copy_state import CopyState
from live_orders.cursor import Cursor
from live_orders.errors import LiveOrdersError
from live_orders.sorting import Sorting

LONGEST_LIST = 500  # orders; the server gives no more in one answer
_LEAST_RESERVE = 20


@dataclass(frozen=True, slots=True)
class Window:
    """The first ``limit`` orders of a list, after ``skip`` others; 500 together at most.

    ``sort``: `_id`, `updated_at`, `customer_name`, `product_name` or `status`; with ``-`` in front, descending.
    """

    limit: int
    sort: str = "-_id"
    skip: int = 0

    def __post_init__(self) -> None:
        if not Sorting(self.sort).is_known:
            raise LiveOrdersError(f"window.sort: there is no order {self.sort}")
        if self.limit < 1:
            raise LiveOrdersError("window.limit must be 1 or more")
        if self.skip < 0:
            raise LiveOrdersError("window.skip must be 0 or more")
        if self.end > LONGEST_LIST:
            raise LiveOrdersError(f"window.skip + window.limit: {LONGEST_LIST} at most")

    @property
    def end(self) -> int:
        """How many orders of the list it reaches to."""
        return self.skip + self.limit


class Outcome(Enum):
    """What has become of a change."""

    APPLIED = "applied"
    KNOWN = "known"  # the list has it already
    UNCLEAR = "unclear"  # a list has to be loaded that was read after the change


class WindowState(CopyState):
    """The orders of a window.

    It keeps an unbroken part of the list from its beginning, more than is shown: so that deletions do not need another
    list each. A change that it cannot place leaves it as it was, at its cursor, and a later list has to be loaded.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self._sorting = Sorting(window.sort)
        self.most = min(LONGEST_LIST, window.end + max(window.limit, _LEAST_RESERVE))  # that a list has to have
        self._known: list[Order] = []
        self._bound: Order | None = (
            None  # the orders up to this one, as it was, are all known; None: all orders, or none
        )
        self._is_whole = False
        self.rows: dict[str, Order] = {}

    def with_written(self, written: Mapping[str, Order | None]) -> dict[str, Order]:
        """Return the rows with some orders replaced, or left out (None)."""
        if not written:
            return self.rows
        known = list(self._known)
        for name, order in written.items():
            was = next((place for place, each in enumerate(known) if each["_id"] == name), None)
            if was is not None:
                del known[was]
            is_beyond = None if order is None else self._is_beyond(order)
            if order is None or is_beyond:
                continue
            place = None if is_beyond is None else self._sorting.place(known, order)
            if place is None:
                place = was  # until the server tells its place, it keeps the one that it had
            if place is not None:
                known.insert(place, order)
        return self._cut(known)

    def load(self, orders: Sequence[Order], cursor: str, *, has_more: bool) -> None:
        """Take the beginning of the list."""
        self._keep(list(orders), orders[-1] if has_more and orders else None, is_whole=not has_more)
        self.loaded(cursor)

    def apply(self, change: Change) -> Outcome:
        """Take a change, unless the list has it already."""
        if self.position is not None and self.position.has_passed(Cursor.parse(change.cursor)):
            return Outcome.KNOWN
        others = [each for each in self._known if each["_id"] != change.id]
        if change.operation is not Operation.DELETE:
            is_beyond = None if change.data is None else self._is_beyond(change.data)
            if change.data is None or is_beyond is None:
                return Outcome.UNCLEAR
            if not is_beyond:
                place = self._sorting.place(others, change.data)
                if place is None:
                    return Outcome.UNCLEAR
                others.insert(place, change.data)
        if len(others) < self._window.end and not self._is_whole:
            return Outcome.UNCLEAR
        if len(others) > self.most:
            del others[self.most :]
            self._keep(others, others[-1], is_whole=False)
        else:
            self._keep(others, self._bound, is_whole=self._is_whole)
        self.cursor = change.cursor
        return Outcome.APPLIED

    def reached(self, cursor: str) -> None:
        """All changes up to the cursor have been sent; a list may have been read later than that."""
        position = Cursor.parse(cursor)
        if self.is_loaded and position is not None and position.has_passed(self.position):
            self.cursor = cursor

    def _is_beyond(self, order: Order) -> bool | None:
        """Tell whether an order comes after all that are known; None: only the server can tell."""
        if self._is_whole:
            return False
        place = None if self._bound is None else self._sorting.compare(order, self._bound)
        return None if place is None else place > 0

    def _keep(self, known: list[Order], bound: Order | None, *, is_whole: bool) -> None:
        self._known, self._bound, self._is_whole = known, bound, is_whole
        self.rows = self._cut(known)

    def _cut(self, known: Sequence[Order]) -> dict[str, Order]:
        return {each["_id"]: each for each in known[self._window.skip : self._window.end]}
