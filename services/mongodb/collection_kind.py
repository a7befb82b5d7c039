"""Checks that a collection is of a kind that supports change streams and snapshot reads."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pymongo
import structlog
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.common.tasks import raise_if_cancelled

log = structlog.get_logger(__name__)

CHECK_SECONDS = 2.0
_PATIENCE = 2.0  # seconds
_ADVICE = "rename it, or move its documents into an ordinary collection of this name."


def unfit(info: Mapping[str, Any]) -> str | None:
    """Return why a collection that `listCollections` describes cannot be served, and what to do; else None."""
    name, kind = info.get("name"), info.get("type", "collection")
    if kind == "view":
        return f"The collection {name} is a view, which has no change stream and takes no writes: {_ADVICE}"
    if kind == "timeseries":
        return f"The collection {name} is a time series, which has no change stream: {_ADVICE}"
    if info.get("options", {}).get("capped"):
        return f"The collection {name} is capped, and MongoDB has no snapshot reads of those: {_ADVICE}"
    return None


class CollectionKind:
    """One collection of a database; a problem is logged once when it appears and once when it is solved."""

    def __init__(self, database: "AsyncDatabase[Any]", collection: str) -> None:
        self._database = database
        self._collection = collection
        self._said: str | None = None
        self.state = "not known yet, MongoDB was not reached"  # "ok", or the problem and what to do

    @property
    def is_unfit(self) -> bool:
        """Whether the last check found a problem."""
        return self._said is not None

    async def check(self) -> str:
        """Ask MongoDB, and return the new ``state``. A missing collection is fine: the first order creates it.

        Where MongoDB does not answer, the last answer stays: that is no news about the collection.
        """
        only = {"name": self._collection}
        try:
            with pymongo.timeout(_PATIENCE):
                found = [unfit(info) async for info in await self._database.list_collections(filter=only)]
        except PyMongoError as error:
            if self.state != "ok" and self._said is None:
                self.state = f"not known yet, MongoDB does not say: {type(error).__name__}"
            return self.state
        wrong = found[0] if found else None
        if wrong != self._said:
            self._said = wrong
            if wrong is not None:
                log.error("The orders cannot be served", reason=wrong)
            else:
                log.info("The orders can be served again")
        self.state = wrong or "ok"
        return self.state

    async def keep_checked(self) -> None:
        """Check for ever."""
        while True:
            raise_if_cancelled()
            await self.check()
            await asyncio.sleep(CHECK_SECONDS)
