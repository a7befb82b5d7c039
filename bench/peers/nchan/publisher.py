"""Reads the change stream and posts each change to nchan: `publisher.py URL`, with MONGODB_URI."""

import asyncio
import os
import sys
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop
from pymongo import AsyncMongoClient

from services.common.documents import to_json

OPERATIONS = {"insert": "INSERT", "update": "UPDATE", "replace": "UPDATE", "delete": "DELETE"}


def request(change: dict[str, Any]) -> bytes:
    order = change.get("fullDocument")
    body = orjson.dumps(
        {
            "operation": OPERATIONS[change["operationType"]],
            "id": str(change["documentKey"]["_id"]),
            "data": None if order is None else to_json(order),
            "at": change["wallTime"].isoformat(),
        }
    )
    return b"POST /publish HTTP/1.1\r\nHost: nchan\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def ignore_answers(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def main() -> None:
    url = urlsplit(sys.argv[1])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    answers = asyncio.create_task(ignore_answers(reader))
    async with AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URI"]) as client:
        kinds = {"$match": {"operationType": {"$in": list(OPERATIONS)}}}
        orders = client.get_default_database()["orders"]
        async with await orders.watch([kinds], full_document="updateLookup") as stream:
            print("ready", flush=True)
            async for change in stream:
                writer.write(request(change))
    await answers


if __name__ == "__main__":
    uvloop.run(main())
