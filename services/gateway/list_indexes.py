"""Which indexes the collection has, so that a list is told to take its own, and whether it can be searched."""

from time import monotonic
from typing import Any

import structlog
from pymongo import errors
from pymongo.asynchronous.collection import AsyncCollection

from services.common.error_text import error_text
from services.common.order_indexes import INDEXES

log = structlog.get_logger("lists")

KNOWN_SECONDS = 60.0  # until we look again
_BAD_VALUE, _UNAUTHORIZED = 2, 13
_NEEDED = frozenset(index.name for index in INDEXES)


class ListIndexes:
    """The indexes of a collection and its collation, as they were lately."""

    def __init__(self, collection: AsyncCollection[dict[str, Any]]) -> None:
        self._collection = collection
        self._names: frozenset[str] = frozenset()
        self._known_until = 0.0
        self._is_missing_some = False
        self.has_collation = False

    async def refresh(self) -> None:
        """Learn which indexes there are, unless that is known; raise PyMongoError."""
        if monotonic() < self._known_until:
            return
        self._names = await self._present()
        self.has_collation = "collation" in await self._collection.options()
        self._known_until = monotonic() + KNOWN_SECONDS
        if self._is_missing_some is _NEEDED.issubset(self._names):
            self._is_missing_some = not self._is_missing_some
            if self._is_missing_some:
                missing = ", ".join(sorted(_NEEDED - self._names))
                log.warning("Indexes are missing, lists are slow: run setup_db", missing=missing)

    async def _present(self) -> frozenset[str]:
        try:
            return frozenset({"_id_", *await self._collection.index_information()})
        except errors.OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            return _NEEDED  # taken to be there; the first hint tells where one is not

    def forget(self) -> None:
        """Ask MongoDB again next time."""
        self._known_until = 0.0
        self._names = frozenset()

    def hint(self, name: str | None) -> str | None:
        """Return the name where there is such an index."""
        return name if name in self._names else None


def names_unknown_index(error: BaseException | None) -> bool:
    """Tell whether a question named an index that is not there any more."""
    return isinstance(error, errors.OperationFailure) and error.code == _BAD_VALUE and "hint" in error_text(error)
