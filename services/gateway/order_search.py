"""What one search for the past changes of an order has found so far, and what it still lacks."""

from bson import ObjectId

from services.common.cursor import Position
from services.common.envelope import Operation
from services.gateway.audience import Rights
from services.gateway.past_changes import PastChange, is_told


class OrderSearch:
    """What is found, newest first, and the position ``since`` after which that is all there is.

    Changes that these rights do not allow to know count as not there, so that the search takes no other time for them.
    """

    def __init__(self, id: str, before: Position | None, wanted: int, since: Position, rights: Rights) -> None:
        self.id = id
        self._rights = rights
        self.found: list[PastChange] = []
        self.since = since
        self.is_end = False  # nothing older is to be found
        self._before = before
        self._wanted = wanted

    def is_over(self) -> bool:
        """Whether there are enough, or there is nothing more to find."""
        return self.is_end or not self.wanted

    @property
    def wanted(self) -> int:
        """How many are missing."""
        return max(0, self._wanted - len(self.found))

    def add(self, change: PastChange) -> None:
        """Add the next older one, unless it is not wanted or has been added."""
        is_known = bool(self.found) and change.position >= self.found[-1].position
        if self.is_over() or is_known or (self._before is not None and change.position >= self._before):
            return
        if not is_told(change, self._rights):
            if self.found:
                self.found[-1] = self.found[-1]._replace(is_apart=True)
            return
        self.found.append(change)
        # No two orders ever have the same ObjectId. With another kind of id, there may have been an earlier one.
        self.is_end = change.operation is Operation.INSERT and ObjectId.is_valid(self.id)
        if self.is_over():
            self.since = change.position.below

    def reached(self, since: Position) -> None:
        """Note that all changes after ``since`` have been added."""
        if not self.is_over():
            self.since = since
