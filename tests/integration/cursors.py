"""Looks at the cursors that a MongoDB keeps open."""

from typing import Any

from pymongo.asynchronous.database import AsyncDatabase


async def open_cursors(database: "AsyncDatabase[Any]", collection: str) -> int:
    """Return how many cursors there are on the collection; `serverStatus` does not count killed ones off."""
    stages: list[dict[str, Any]] = [
        {"$currentOp": {"idleCursors": True}},
        {"$match": {"ns": f"{database.name}.{collection}"}},
    ]
    return len(await (await database.client.admin.aggregate(stages)).to_list())
