"""The routes that write orders: create, change, delete, and several of these at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import hdrs, web

from services.common.cursor import Position
from services.common.documents import Json, dumps
from services.common.fair_turns import FairTurns, Pace
from services.common.visible_fields import VisibleFields
from services.gateway.atomic_writes import Applied, Order
from services.gateway.batches import DeleteOrder, InsertOrder, OrderWrite, UpdateOrder, operations_of, parse_batch
from services.gateway.edge.principal import Principal, Scope
from services.gateway.edge.quota import Use
from services.gateway.filters import to_text
from services.gateway.http.answers import ETAG, Epoch, cursor_header, id_of
from services.gateway.http.body import ONLY_JSON, PATCHES, MediaTypes, read_json
from services.gateway.http.limits import Charge, costs
from services.gateway.http.paths import COLLECTION, ORDER
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.repeats import Repeats
from services.gateway.http.request_deadline import spent
from services.gateway.http.request_headers import idempotency_key, preconditions
from services.gateway.idempotency import Claim
from services.gateway.in_flight import InFlight
from services.gateway.kept_answers import Answer
from services.gateway.orders import parse_change, parse_new
from services.gateway.single_writes import Written
from services.gateway.store import OrderStore
from services.gateway.store_errors import BatchRefused
from services.gateway.versions import Preconditions, entity_tag

BATCH = "/api/orders:batch"
LARGEST_BATCH_BODY = 1_048_576
BATCHES_AT_ONCE = 2  # of one address, from their first byte on, because of their memory
_JSON: dict[str, str] = {hdrs.CONTENT_TYPE: "application/json"}


class _WriteRequest(NamedTuple):
    """A request to write, as far as it is common to all writes."""

    account: str
    principal: Principal
    key: str | None
    conditions: Preconditions
    request: web.Request

    @property
    def is_plain(self) -> bool:
        """Whether one command of MongoDB can do it."""
        return self.key is None and not self.conditions

    def claim(self, body: Json, visible: VisibleFields) -> Claim | None:
        """Return what the key stands for: this request, as its sender may see the answer."""
        if self.key is None:
            return None
        method, path = self.request.method, self.request.rel_url.raw_path
        lines = [self.request.headers.getall(name, []) for name in (hdrs.IF_MATCH, hdrs.IF_NONE_MATCH)]
        view = [str(visible), to_text(self.principal.rights), *sorted(self.principal.scopes)]
        return Claim.of(self.principal.subject, self.key, [method, path, lines, body], view)


class OrderWrites:
    """Every answer carries ``Stream-Cursor``, the place of the write's own change, where it is known.

    A write without a key and a condition is one command; many new orders at once share two. Any other is a transaction.
    """

    def __init__(
        self,
        store: OrderStore,
        epoch: Epoch,
        *,
        body_limit: int,
        body_deadline: float,
        account: Callable[[web.BaseRequest], str],
        turns: FairTurns,
        principal: Callable[[web.BaseRequest], Principal],
        charge: Charge,
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._body_limit = body_limit
        self._body_deadline = body_deadline
        self._account = account
        self._turns = turns
        self._principal = principal
        self._charge = charge
        self._repeats = Repeats()
        self._batches = InFlight(BATCHES_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [
            web.post(COLLECTION, self.create),
            web.post(BATCH, self.batch),
            web.put(ORDER, partial(self.update, types=ONLY_JSON)),
            web.patch(ORDER, partial(self.update, types=PATCHES)),
            web.delete(ORDER, self.delete),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Store a new order and answer it as stored."""
        asked = self._asked(request)
        with as_problems("body"):
            body = await self._body(asked)
            new = parse_new(body)
            if asked.is_plain:
                async with self._gate_slot(asked):
                    created = await self._store.create(new, asked.principal.rights)
                    return await self._written(created, asked, status=201)
            asked.conditions.require(None)  # the collection is there, and has no tag
        return await self._atomic(asked, [InsertOrder(operation="INSERT", order=new)], body)

    async def update(self, request: web.Request, types: MediaTypes) -> web.Response:
        """Change the given fields of an order and answer the whole of it."""
        asked = self._asked(request)
        with as_problems("path"):
            order = id_of(request)
        with as_problems("body"):
            body = await self._body(asked, types)
            change = parse_change(body)
            if asked.is_plain:
                written = await self._store.update(order, change, asked.principal.rights, self._gate_slot(asked))
                return await self._written(written, asked)
        return await self._atomic(asked, [UpdateOrder(operation="UPDATE", id=order, order=change)], body)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete an order and answer what it was."""
        asked = self._asked(request)
        with as_problems("path"):
            order = id_of(request)
            if asked.is_plain:
                written = await self._store.delete(order, asked.principal.rights, self._gate_slot(asked))
                return await self._written(written, asked, is_deleted=True)
        return await self._atomic(asked, [DeleteOrder(operation="DELETE", id=order)], None)

    @costs(Use.EXPENSIVE)
    async def batch(self, request: web.Request) -> web.Response:
        """Do several writes, all or none, and answer the orders."""
        asked = self._asked(request)
        async with self._batches.slot(asked.account):
            with as_problems("body"):
                body = await self._body(asked, limit=max(LARGEST_BATCH_BODY, self._body_limit))
                operations = operations_of(body)
                # Each is a change that all clients wait for: a batch must not get round the limit of writes.
                self._charge(request, Use.WRITES, len(operations))
                # In a turn of its account: to check hundreds of orders takes a millisecond and more.
                writes = await Pace(self._turns, asked.account).whole(partial(parse_batch, operations))
                asked.conditions.require(None)
            return await self._atomic(asked, writes, body, is_batch=True)

    async def _atomic(
        self,
        asked: _WriteRequest,
        writes: Sequence[OrderWrite],
        body: Json,
        *,
        is_batch: bool = False,
    ) -> web.Response:
        epoch = self._epoch()
        claim = asked.claim(body, self._store.visible)

        def answering(applied: Applied) -> Answer:
            answer = _batch_answer(writes, applied, asked) if is_batch else _answer(writes[0], applied.orders[0], asked)
            return answer._replace(epoch=epoch, last=applied.last or 0)

        def requiring(order: Order) -> None:
            asked.conditions.require(_tag(order, asked.principal))

        async def act() -> Answer:
            try:
                return await self._store.atomic.write(
                    writes,
                    asked.principal.rights,
                    answering,
                    pace=Pace(self._turns, asked.account),
                    claim=claim,
                    requiring=None if is_batch or not asked.conditions else requiring,
                )
            except BatchRefused as error:
                if is_batch:
                    raise
                raise error.items[0][1] from error

        with as_problems("body"):
            async with self._gate_slot(asked):
                answer = await act() if claim is None else await self._repeats.once(claim, act, self._store.kept)
        position = None if answer.at is None or answer.last is None else Position(answer.at, answer.last)
        headers = {**answer.headers, **cursor_header(answer.epoch, position, asked.principal.rights)}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    async def _written(
        self, written: Written, asked: _WriteRequest, *, status: int = 200, is_deleted: bool = False
    ) -> web.Response:
        answering = partial(_order_answer, written.order, asked.principal, status=status, is_deleted=is_deleted)
        answer = await asyncio.to_thread(answering) if written.is_large else answering()
        position = None if written.at is None else Position(written.at, written.ordinal)
        headers = {**answer.headers, **cursor_header(self._epoch(), position, asked.principal.rights)}
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _asked(self, request: web.Request) -> _WriteRequest:
        account = self._account(request)
        return _WriteRequest(
            account, self._principal(request), idempotency_key(request), preconditions(request), request
        )

    def _gate_slot(self, asked: _WriteRequest) -> AbstractAsyncContextManager[None]:
        return self._store.gate.slot(asked.account, spent(asked.request))

    async def _body(self, asked: _WriteRequest, types: MediaTypes = ONLY_JSON, limit: int | None = None) -> Json:
        pace = Pace(self._turns, asked.account)
        limit = self._body_limit if limit is None else limit
        read: Awaitable[Json] = read_json(
            asked.request, limit=limit, deadline=self._body_deadline, pace=pace, types=types
        )
        return await read


def _answer(write: OrderWrite, order: Order, asked: _WriteRequest) -> Answer:
    is_new = isinstance(write, InsertOrder)
    is_deleted = isinstance(write, DeleteOrder)
    return _order_answer(order, asked.principal, status=201 if is_new else 200, is_deleted=is_deleted)


def _order_answer(order: Order, principal: Principal, *, status: int, is_deleted: bool) -> Answer:
    """Answer a write with the order, or with its id only where the token does not allow to read."""
    headers = {**_JSON}
    if status == 201:
        headers[hdrs.LOCATION] = f"{COLLECTION}/{quote(str(order['_id']), safe='')}"
    body = dumps(order if Scope.READ in principal.scopes else {"_id": order["_id"]})
    if Scope.READ in principal.scopes and not is_deleted:
        headers[ETAG] = entity_tag(body)
    return Answer(status, headers, body)


def _tag(order: Order, principal: Principal) -> str | None:
    """Return the tag that the order has for this principal: none for one who may not read it."""
    return entity_tag(dumps(order)) if Scope.READ in principal.scopes else None


def _batch_answer(writes: Sequence[OrderWrite], applied: Applied, asked: _WriteRequest) -> Answer:
    reads = Scope.READ in asked.principal.scopes
    results: list[Json] = [
        {"operation": write.operation, "id": order["_id"], **({"order": order} if reads else {})}
        for write, order in zip(writes, applied.orders, strict=True)
    ]
    return Answer(200, {**_JSON}, dumps({"results": results}))
