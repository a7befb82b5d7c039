"""What a listener is shown: the orders with our own writes in them, the status, and what has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from live_orders.changes import Change, Order
from live_orders.copy_state import Status


class Rows(Mapping[str, Order]):
    """The orders by their ids: those of the copy, and over them the writes that it does not yet show.

    It is a view onto the copy and not another one: it always shows the present.
    """

    def __init__(self, rows: Mapping[str, Order], written: Mapping[str, Order | None]) -> None:
        self._rows = rows
        self._written = written  # None: deleted

    def __getitem__(self, id: str) -> Order:
        if id in self._written:
            order = self._written[id]
            if order is None:
                raise KeyError(id)
            return order
        return self._rows[id]

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._rows if self._written.get(name, self) is not None)
        yield from (name for name, order in self._written.items() if order is not None and name not in self._rows)

    def __len__(self) -> int:
        gone = sum(order is None and name in self._rows for name, order in self._written.items())
        new = sum(order is not None and name not in self._rows for name, order in self._written.items())
        return len(self._rows) - gone + new


@dataclass(frozen=True, slots=True)
class View:
    """The orders, how far they can be trusted, and the change that has just been applied, if that is what happened.

    ``reloaded``: the copy has just been loaded anew.
    """

    rows: Rows
    status: Status
    change: Change | None = None
    reloaded: bool = False
