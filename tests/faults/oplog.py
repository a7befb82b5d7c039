"""An oplog so small that it can be overwritten within seconds."""

import asyncio
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient, WriteConcern

# MongoDB keeps the oplog that the last checkpoint needs, hence a checkpoint every second.
SMALL = ("--oplogSize", "20", "--oplogMinRetentionHours", "0.000001", "--syncdelay", "1")

_FILLER = b"x" * 36_000
_BATCH = 100
_PATIENCE = 40.0


async def write_over(mongodb_uri: str) -> None:
    """Write to another collection until the oplog has dropped everything up to now."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client, asyncio.timeout(_PATIENCE):
        oplog = client["local"]["oplog.rs"]
        mark = (await client.admin.command("ping"))["operationTime"]
        filler = client.get_default_database().get_collection("neighbour", write_concern=WriteConcern(1))
        while (await oplog.find_one(sort=[("$natural", 1)]) or {"ts": mark})["ts"] <= mark:
            await filler.insert_many([{"_id": ObjectId(), "filler": _FILLER} for _ in range(_BATCH)])
            await asyncio.sleep(0.1)
        await filler.drop()
