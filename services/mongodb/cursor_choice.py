"""Chooses by a probe, once MongoDB answers, how the watcher's cursor is read."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from services.mongodb.change_cursor import ChangeCursor, OpenCursor
from services.mongodb.command_cursor import command_cursor
from services.mongodb.server_cursor import server_cursor

_PROBE_SECONDS = 5.0
_PROBE: list[dict[str, Any]] = [{"$changeStream": {}}]

log = structlog.get_logger("change-stream")


class CursorChoice:
    """Opens cursors over a dedicated connection where that works, else with PyMongo's public commands.

    The former depends on PyMongo's internals, which another version may change; then slow is better than not at all.
    """

    def __init__(self, fast: OpenCursor = server_cursor, safe: OpenCursor = command_cursor) -> None:
        self._fast = fast
        self._safe = safe
        self._chosen: OpenCursor | None = None

    @property
    def name(self) -> str | None:
        """The chosen kind: ``wire`` or ``command``; None before MongoDB has answered."""
        if self._chosen is None:
            return None
        return "wire" if self._chosen is self._fast else "command"

    @asynccontextmanager
    async def open(
        self, database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], batch_size: int, await_ms: int
    ) -> AsyncIterator[ChangeCursor]:
        """Open a cursor, see `OpenCursor`; the first time, probe which kind works."""
        if self._chosen is None:
            self._chosen = await self._probe(database)
            if self._chosen is self._fast:
                log.info("The change stream is read over a connection of its own", cursor=self.name)
            else:
                log.info("The change stream is read by PyMongo's commands, which are slower", cursor=self.name)
        async with self._chosen(database, pipeline, batch_size, await_ms) as cursor:
            yield cursor

    async def _probe(self, database: "AsyncDatabase[Any]") -> OpenCursor:
        try:
            async with asyncio.timeout(_PROBE_SECONDS), self._fast(database, _PROBE, 1, 1) as cursor:
                await cursor.next_batch(list)
        except PyMongoError:
            raise  # the fault is MongoDB's, not this kind's: probe again later
        except Exception as error:  # noqa: BLE001 - any error that another version of PyMongo may raise
            log.warning("The change stream cannot be read over a connection of its own", error=repr(error))
            return self._safe
        return self._fast
