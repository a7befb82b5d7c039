"""What one client is shown: the orders that it wants, among those that it may see."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.gateway.filters import EVERYTHING, Interest, Verdict, conjunction

Rights = Interest
"""The orders that a client may see and change: those that fit any of these filters."""


def permits(rights: Rights, id: str, fields: Mapping[str, Any]) -> bool:
    """Tell whether the order with this id and these deciding fields is one of those."""
    return any(each.holds(id, fields) for each in rights)


class Audience(NamedTuple):
    """An interest and rights. Clients with equal audiences share every decision and every encoding."""

    interest: Interest
    rights: Rights = EVERYTHING

    @property
    def shown(self) -> Interest:
        """The orders that it is shown: those that it wants and may see."""
        return self.interest if self.rights == EVERYTHING else conjunction(self.interest, self.rights)

    @property
    def unknown(self) -> Verdict:
        """How a change is judged whose images do not tell which order it was.

        What a filter cannot decide is shown. What rights cannot decide is not: it may be another one's order.
        """
        return Verdict.UNKNOWN if any(each.needs_images for each in self.rights) else Verdict.SHOW
