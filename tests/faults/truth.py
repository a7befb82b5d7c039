"""What really happened, as MongoDB tells it afterwards: every change in commit order."""

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


class Sight(NamedTuple):
    """What a client with a certain filter has to be shown of a change. ``stamp`` is None where no order is shown."""

    position: Position
    operation: str
    id: str
    stamp: int | None
    left: bool


def sight(change: Change, wanted: Wanted) -> Sight | None:
    """Return what a client that wants ``wanted`` sees of the change, None for nothing."""
    position, operation, order, before, after = change
    if operation == "DELETE":
        seen = Sight(position, operation, order, before.stamp if before else None, left=False)
        return seen if wanted.fits(before) else None
    if wanted.fits(after):
        return Sight(position, operation, order, after.stamp if after else None, left=False)
    if operation == "UPDATE" and wanted.fits(before):
        return Sight(position, "DELETE", order, None, left=True)
    return None


def filtered(view: View, wanted: Wanted) -> View:
    """Return the part of a view that fits."""
    return {order: content for order, content in view.items() if wanted.fits(content)}
