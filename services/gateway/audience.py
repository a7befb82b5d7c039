"""What one client is shown: the orders that it wants, among those that it may see."""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from services.common.cursor import VIEW_LENGTH
from services.gateway.filters import EVERYTHING, Interest, Verdict, conjunction, to_text

Rights = Interest
"""The orders that a client may see and change: those that fit any of these filters."""


def permits(rights: Rights, id: str, fields: Mapping[str, Any]) -> bool:
    """Tell whether the order with this id and these deciding fields is one of those."""
    return any(each.holds(id, fields) for each in rights)


@lru_cache(1024)
def view_of(rights: Rights) -> str:
    """Return what cursors tell of these rights, the same at every replica; empty where they are all orders.

    A client that comes back with a cursor of other rights than its own may have orders that it may no longer see, and
    lacks those that it may see only now. It could forge the text, but only to keep what it has.
    """
    if rights == EVERYTHING:
        return ""
    return base64.b32encode(hashlib.sha256(to_text(rights).encode()).digest())[:VIEW_LENGTH].decode().lower()


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
