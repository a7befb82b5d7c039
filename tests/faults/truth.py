"""The true history, read from MongoDB afterwards: every change in commit order."""

from typing import NamedTuple

from services.common.cursor import Position
from tests.faults.order import Content, Wanted
from tests.faults.record import View


class Change(NamedTuple):
    """One committed change of one order."""

    position: Position
    operation: str
    id: str
    before: Content | None
    after: Content | None


class Due(NamedTuple):
    """The event that is due to a client with a certain filter. ``stamp`` is None where it carries no order."""

    position: Position
    operation: str
    id: str
    stamp: int | None
    left: bool


def due_of(change: Change, wanted: Wanted) -> Due | None:
    """Return the event of the change that a client with this filter must get, or None."""
    position, operation, order, before, after = change
    if operation == "DELETE":
        seen = Due(position, operation, order, before.stamp if before else None, left=False)
        return seen if wanted.fits(before) else None
    if wanted.fits(after):
        return Due(position, operation, order, after.stamp if after else None, left=False)
    if operation == "UPDATE" and wanted.fits(before):
        return Due(position, "DELETE", order, None, left=True)
    return None


def filtered(view: View, wanted: Wanted) -> View:
    """Return the orders of a view that match the filter."""
    return {order: content for order, content in view.items() if wanted.fits(content)}
