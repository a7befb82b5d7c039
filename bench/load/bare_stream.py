"""Reads the same stream as the watcher and does nothing with it: the bare hop, and the bare drain."""

import asyncio
import resource
import sys
from time import perf_counter
from typing import Any

from bson import CodecOptions, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient

from bench.load.arrivals import Arrivals
from bench.load.commands import serve
from services.common.normalize import FIELDS, IMAGES, match_stage


class BareStream:
    """A reader of raw documents."""

    def __init__(self, uri: str) -> None:
        raw: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
        self._uri = uri
        self._raw = raw
        self._arrived = Arrivals()

    async def open(self, since: tuple[int, int] | None = None) -> None:
        """Open the stream at a cluster time, or now."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(self._uri)
        database = client.get_default_database().with_options(codec_options=self._raw)
        project = {"$project": dict.fromkeys(FIELDS + IMAGES, 1)}
        self._stream = await database.watch(
            [match_stage("orders"), project],
            full_document="whenAvailable",
            full_document_before_change="whenAvailable",
            start_at_operation_time=Timestamp(*since) if since else None,
            max_await_time_ms=500,
        )
        if since is None:
            self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            if await self._stream.try_next() is not None:
                self._arrived.came()

    async def read(self, count: int) -> dict[str, Any]:
        """Return when each of ``count`` events came."""
        return {"arrived": await self._arrived.first(count)}

    async def drain(self, count: int, skipped: int) -> dict[str, Any]:
        """Read ``count`` events as fast as possible; the first ones, which open the stream, are not counted."""
        for _ in range(skipped):
            await self._stream.next()
        started, before = perf_counter(), _cpu()
        for _ in range(count - skipped):
            await self._stream.next()
        return {"events": count - skipped, "seconds": perf_counter() - started, "cpu": _cpu() - before}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    serve(BareStream(sys.argv[1]))
