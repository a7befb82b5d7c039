"""The first orders of a sorted list, or after a place in it: what a list and its later changes make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from live_orders.changes import Change, Operation, Order
from live_orders.copy_state import CopyState
from live_orders.cursor import Cursor
from live_orders.errors import LiveOrdersError
from live_orders.place import Place, check_place
from live_orders.sorting import Sorting

LONGEST_LIST = 500  # orders; the server gives no more in one answer
_LEAST_RESERVE = 20


@dataclass(frozen=True, slots=True)
class Window:
    """The first ``limit`` orders of a list, after ``skip`` others; 500 together at most.

    ``sort``: `_id`, `updated_at`, `customer_name`, `product_name` or `status`; with ``-`` in front, descending.
    ``after``: the place where it begins, in a list with the same ``sort``; None: at the beginning of the list.
    """

    limit: int
    sort: str = "-_id"
    skip: int = 0
    after: Place | None = None

    def __post_init__(self) -> None:
        if not Sorting(self.sort).is_known:
            raise LiveOrdersError(f"window.sort: there is no order {self.sort}")
        if self.limit < 1:
            raise LiveOrdersError("window.limit must be 1 or more")
        if self.skip < 0:
            raise LiveOrdersError("window.skip must be 0 or more")
        if self.reach > LONGEST_LIST:
            raise LiveOrdersError(f"window.skip + window.limit: {LONGEST_LIST} at most")
        if self.after is not None:
            check_place(self.after, self.sort)

    @property
    def reach(self) -> int:
        """How many orders of the list it reaches to."""
        return self.skip + self.limit


class Outcome(Enum):
    """What has become of a change."""

    APPLIED = "applied"
    KNOWN = "known"  # the list has it already
    UNCLEAR = "unclear"  # a list has to be loaded that was read after the change


class WindowState(CopyState):
    """The orders of a window.

    It keeps an unbroken part of the list from its beginning or a place on, more than is shown: so that deletions do not
    need another list each. A change that it cannot place leaves it as it was, at its cursor, and a later list has to be
    loaded.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self._sorting = Sorting(window.sort)
        # Only what comes after this order, as it was, belongs to the list.
        self._top = None if window.after is None else window.after["order"]
        self.most = min(LONGEST_LIST, window.reach + max(window.limit, _LEAST_RESERVE))  # that a list has to have
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
            is_outside = None if order is None else self._is_outside(order)
            if order is None or is_outside:
                continue
            place = None if is_outside is None else self._sorting.place(known, order)
            if place is None:
                place = was  # until the server tells its place, it keeps the one that it had
            if place is not None:
                known.insert(place, order)
        return self._cut(known)

    def load(self, orders: Sequence[Order], cursor: str, *, has_more: bool) -> None:
        """Take the beginning of the list, or of what follows the place."""
        self._keep(list(orders), orders[-1] if has_more and orders else None, is_whole=not has_more)
        self.loaded(cursor)

    def apply(self, change: Change) -> Outcome:
        """Take a change, unless the list has it already."""
        if self.position is not None and self.position.has_passed(Cursor.parse(change.cursor)):
            return Outcome.KNOWN
        others = [each for each in self._known if each["_id"] != change.id]
        if change.operation is not Operation.DELETE:
            is_outside = None if change.data is None else self._is_outside(change.data)
            if change.data is None or is_outside is None:
                return Outcome.UNCLEAR
            if not is_outside:
                place = self._sorting.place(others, change.data)
                if place is None:
                    return Outcome.UNCLEAR
                others.insert(place, change.data)
        if len(others) < self._window.reach and not self._is_whole:
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

    def _is_outside(self, order: Order) -> bool | None:
        """Tell whether an order comes before the list or after all that are known; None: only the server can tell."""
        from_top = 1 if self._top is None else self._sorting.compare(order, self._top)
        bound = None if self._bound is None else self._sorting.compare(order, self._bound)
        from_bound = 0 if self._is_whole else bound
        if (from_top is not None and from_top <= 0) or (from_bound is not None and from_bound > 0):
            return True
        return None if from_top is None or from_bound is None else False

    def _keep(self, known: list[Order], bound: Order | None, *, is_whole: bool) -> None:
        self._known, self._bound, self._is_whole = known, bound, is_whole
        self.rows = self._cut(known)

    def _cut(self, known: Sequence[Order]) -> dict[str, Order]:
        return {each["_id"]: each for each in known[self._window.skip : self._window.reach]}
