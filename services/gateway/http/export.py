"""Sends all orders of a list as NDJSON or CSV, in a stream that holds one batch in memory."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from functools import partial

import structlog
from aiohttp import HttpVersion11, hdrs, web

from services.common.documents import Json, dumps
from services.common.error_text import error_text
from services.common.fair_turns import Pace
from services.gateway.audience import Rights
from services.gateway.http.accept import Media
from services.gateway.http.compression import EncodedStream
from services.gateway.http.csv_rows import columns, csv_line, csv_row
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.problems import Kind, Problem
from services.gateway.http.request_deadline import spent
from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.list_export import Export
from services.gateway.list_query import ListQuery
from services.gateway.mongodb_gate import MongodbGate
from services.gateway.order_lists import OrderLists
from services.gateway.store_errors import StoreError

log = structlog.get_logger("lists")

EXPORTS_AT_ONCE = 4
EXPORTS_PER_ADDRESS = 2
# MongoDB keeps the past for 300 seconds (minSnapshotHistoryWindowInSeconds): of an older snapshot it reads no more.
EXPORT_SECONDS = 240.0
STALL_SECONDS = 30.0  # for a client to take one piece
PIECE = 65_536  # bytes
_LONGEST_REASON = 200

_TYPES = {Media.NDJSON: "application/x-ndjson", Media.CSV: "text/csv; charset=utf-8; header=present"}
_NAMES = {Media.NDJSON: "orders.ndjson", Media.CSV: "orders.csv"}
Encode = Callable[[dict[str, Json]], bytes]


class Exports:
    """The exports that are under way: a bounded number, each with a connection to MongoDB and a batch in memory."""

    def __init__(self, lists: OrderLists, gate: MongodbGate, cursor: Callable[[int, Rights], dict[str, str]]) -> None:
        self._lists = lists
        self._gate = gate
        self._cursor = cursor
        self._accounts: list[str] = []

    async def answer(
        self, request: web.Request, query: ListQuery, media: Media, account: str, pace: Pace, rights: Rights
    ) -> web.StreamResponse:
        """Answer with all orders of the list, or `limit` of them where it is given."""
        with as_problems("query"):
            _check(query)
        if request.version < HttpVersion11:
            raise Problem(
                505, Kind.HTTP, "An export needs HTTP/1.1: over HTTP/1.0 a truncated export would look complete."
            )
        if len(self._accounts) >= EXPORTS_AT_ONCE or self._accounts.count(account) >= EXPORTS_PER_ADDRESS:
            raise Problem(429, Kind.HTTP, "Too many exports are under way; try again.", headers={"Retry-After": "10"})
        self._accounts.append(account)
        try:
            with as_problems("query"):
                return await self._send(request, query, media, account, pace, rights)
        finally:
            self._accounts.remove(account)

    async def _send(
        self, request: web.Request, query: ListQuery, media: Media, account: str, pace: Pace, rights: Rights
    ) -> web.StreamResponse:
        response = EncodedStream(headers=_headers(media))
        try:
            async with asyncio.timeout(EXPORT_SECONDS), AsyncExitStack() as stack:
                async with self._gate.slot(account, spent(request)):
                    export = await stack.enter_async_context(self._lists.export(query, pace, rights))
                response.headers.update(self._cursor(export.at, rights))
                await response.prepare(request)
                if request.method != hdrs.METH_HEAD:
                    await self._write(response, query, media, export, pace)
                await response.write_eof()
        except (StoreError, TimeoutError, ConnectionError) as error:
            if not response.prepared:
                raise
            # Without the end of its chunks, so that it is not taken for a whole one.
            if request.transport is not None and not request.transport.is_closing():
                is_too_slow = isinstance(error, TimeoutError)
                reason = "the client was too slow, or the list too long" if is_too_slow else error_text(error)
                log.warning("An export was cut off", reason=reason[:_LONGEST_REASON])
                request.transport.abort()
        return response

    async def _write(
        self, response: web.StreamResponse, query: ListQuery, media: Media, export: Export, pace: Pace
    ) -> None:
        piece = bytearray()
        encode: Encode = _ndjson
        if media is Media.CSV:
            names = columns(query.fields)
            encode = partial(csv_row, names=names)
            piece += csv_line(names)
        async with aclosing(export.batches) as batches:
            async for orders, is_large in batches:
                for order in orders:
                    encoded = await asyncio.to_thread(encode, order) if is_large else encode(order)
                    await pace.step()
                    await _add(response, piece, encoded)
        await _give(response, piece)


async def _add(response: web.StreamResponse, piece: bytearray, encoded: bytes) -> None:
    """Keep an order until it makes a piece with others; a large one is sent in pieces, and never copied at once."""
    if len(piece) + len(encoded) >= PIECE:
        await _give(response, piece)
        piece.clear()
    if len(encoded) < PIECE:
        piece += encoded
        return
    for start in range(0, len(encoded), PIECE):
        await _give(response, encoded[start : start + PIECE])


async def _give(response: web.StreamResponse, piece: bytes | bytearray) -> None:
    if piece:
        async with asyncio.timeout(STALL_SECONDS):
            await response.write(bytes(piece))


def _ndjson(order: dict[str, Json]) -> bytes:
    return dumps(order) + b"\n"


def _headers(media: Media) -> dict[str, str]:
    disposition = f'attachment; filename="{_NAMES[media]}"'
    return {"Content-Type": _TYPES[media], "Content-Disposition": disposition, "Vary": "Accept"}


def _check(query: ListQuery) -> None:
    faults: list[FieldFault] = []
    if query.before is not None:
        faults.append(FieldFault("before", "cannot be used in an export, which continues only with after"))
    if query.count:
        faults.append(FieldFault("count", "cannot be used in an export, which has all orders"))
    if faults:
        raise InvalidInput(faults)
