"""An oplog so small that it can be written over within seconds."""

from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient, WriteConcern

TINY = ("--oplogSize", "1", "--oplogMinRetentionHours", "0.000001")

_FILLER = b"x" * 36_000
_BATCH = 100
_MOST_BATCHES = 400


async def write_over(mongodb_uri: str, *, also: int = 0) -> None:
    """Write to another collection until the oplog has forgotten everything up to now, then ``also`` more batches."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        oplog = client["local"]["oplog.rs"]
        mark = (await client.admin.command("ping"))["operationTime"]
        filler = client.get_default_database().get_collection("neighbour", write_concern=WriteConcern(1))
        left = _MOST_BATCHES
        while left:
            await filler.insert_many([{"_id": ObjectId(), "filler": _FILLER} for _ in range(_BATCH)])
            left -= 1
            oldest = await oplog.find_one(sort=[("$natural", 1)])
            if left > also and oldest is not None and oldest["ts"] > mark:
                left = also
        await filler.drop()
