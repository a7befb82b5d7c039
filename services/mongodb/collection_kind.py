"""Says whether a collection is of a kind whose changes can be followed and whose orders can be read at a snapshot."""

from collections.abc import Mapping
from typing import Any

import pymongo
import structlog
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

log = structlog.get_logger(__name__)

_PATIENCE = 0.45  # seconds; /readyz grants 1
_ADVICE = "rename it, or move its documents into an ordinary collection of this name."


def unfit(info: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a collection that `listCollections` describes so, and what to do; else None."""
    name, kind = info.get("name"), info.get("type", "collection")
    if kind == "view":
        return f"The collection {name} is a view, which has no changes to follow and takes no writes: {_ADVICE}"
    if kind == "timeseries":
        return f"The collection {name} is a time series, which has no changes to follow: {_ADVICE}"
    if info.get("options", {}).get("capped"):
        return f"The collection {name} is capped, and MongoDB reads no snapshot of such a one: {_ADVICE}"
    return None


class CollectionKind:
    """One collection of a database; what is wrong with it is logged once, and once that it has been mended."""

    def __init__(self, database: "AsyncDatabase[Any]", collection: str) -> None:
        self._database = database
        self._collection = collection
        self._said: str | None = None

    @property
    def is_unfit(self) -> bool:
        """Whether the last check has found something."""
        return self._said is not None

    async def check(self) -> str:
        """Return "ok", or what is wrong and what to do. One that does not exist is made by the first order."""
        only = {"name": self._collection}
        try:
            with pymongo.timeout(_PATIENCE):
                found = [unfit(info) async for info in await self._database.list_collections(filter=only)]
        except PyMongoError as error:
            return f"not known, MongoDB does not say: {type(error).__name__}"
        wrong = found[0] if found else None
        if wrong != self._said:
            self._said = wrong
            if wrong is not None:
                log.error("The orders cannot be served", reason=wrong)
            else:
                log.info("The orders can be served again")
        return wrong or "ok"
