"""Writes that are done once: repeated under one key until their outcome is known, and shown before they are."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from live_orders.changes import Order
from live_orders.cursor import Cursor
from live_orders.errors import OutcomeUnknown
from live_orders.replica import fits
from live_orders.server import Answer, Server, Unavailable, raise_for

COLLECTION = "/api/orders"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 4.0  # seconds

Filter = Mapping[str, Sequence[str]]
"""Orders whose every named field (`ids`, `status`, `customer_name`) has one of the texts."""


class WriteState(StrEnum):
    """What is known of a write."""

    SENT = "sent"
    UNKNOWN = "unknown"  # the server did not say whether it was done; it is being asked
    ACCEPTED = "accepted"  # it was done; the copy has not got there yet


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """A write that the copy does not show yet. ``shown`` is the order in its place; None: it is deleted."""

    key: str
    id: str
    shown: Order | None
    state: WriteState = WriteState.SENT
    cursor: str | None = None


class Writes:
    """Sends writes and keeps those that are not settled, in their order."""

    def __init__(
        self,
        server: Server,
        wanted: Filter,
        patience: float,
        has_copy: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._has_copy = has_copy  # without one, nothing has to be shown until it is settled
        self._server = server
        self._wanted = wanted
        self._patience = patience
        self._changed = changed
        self._pending: dict[str, PendingWrite] = {}

    @property
    def pending(self) -> tuple[PendingWrite, ...]:
        """The writes that the copy does not show yet, oldest first."""
        return tuple(self._pending.values())

    @property
    def shown(self) -> dict[str, Order | None]:
        """What they make of the orders; None: deleted, or outside of the filter."""
        return {each.id: each.shown for each in self._pending.values()}

    async def create(self, fields: Mapping[str, Any]) -> Order:
        """Create an order and return it as stored."""
        key = str(uuid4())
        try:
            answer = await self._send(key, "POST", COLLECTION, dict(fields), {})
            order: Order = answer.body
            self._keep(PendingWrite(key, order["_id"], self._visible(order)))
            self._accepted(key, answer)
        except BaseException:
            self._forget(key)
            raise
        return order

    async def change(self, id: str, fields: Mapping[str, Any], before: Order | None, if_match: str | None) -> Order:
        """Change some fields of an order and return it as stored; ``before``: what it is shown as now."""
        guess = None if before is None else self._visible({**before, **fields})
        return await self._existing("PUT", id, dict(fields), guess, if_match, is_shown=before is not None)

    async def delete(self, id: str, if_match: str | None) -> Order:
        """Delete an order and return what it was."""
        return await self._existing("DELETE", id, None, None, if_match, is_shown=True)

    def settle(self, position: Cursor | None) -> None:
        """Forget the writes that the copy shows at this position, or that it was reloaded after."""
        for key, each in list(self._pending.items()):
            cursor = Cursor.parse(each.cursor)
            is_over = position is not None and cursor is not None and position.epoch != cursor.epoch
            if each.state is WriteState.ACCEPTED and position is not None and (is_over or position.has_passed(cursor)):
                del self._pending[key]

    async def _existing(
        self, method: str, id: str, body: Any, guess: Order | None, if_match: str | None, *, is_shown: bool
    ) -> Order:
        key = str(uuid4())
        if is_shown:
            self._keep(PendingWrite(key, id, guess))
        headers = {} if if_match is None else {"If-Match": if_match}
        try:
            answer = await self._send(key, method, f"{COLLECTION}/{quote(id, safe='')}", body, headers)
            order: Order = answer.body
            if key in self._pending and method != "DELETE":
                self._pending[key] = replace(self._pending[key], shown=self._visible(order))
            self._accepted(key, answer)
        except BaseException:
            self._forget(key)  # rolled back: it was refused, or we do not know and show what the stream shows
            raise
        return order

    async def _send(self, key: str, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """Send a write until it is answered; the server does it once for the key and gives its first answer again."""
        pause = _FIRST_PAUSE
        keyed = {"Idempotency-Key": f'"{key}"', **headers}
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        answer = await self._server.request(method, path, body, keyed)
                        if answer.status < 300:
                            return answer
                        raise_for(answer)
                    except Unavailable as error:
                        self._unknown(key)
                        await asyncio.sleep(max(error.after, pause * random.uniform(0.5, 1.0)))
                        pause = min(2 * pause, _LONGEST_PAUSE)
        except TimeoutError:
            raise OutcomeUnknown(key) from None

    def _visible(self, order: Order) -> Order | None:
        return order if fits(order, self._wanted) else None

    def _keep(self, write: PendingWrite) -> None:
        if not self._has_copy():
            return
        self._pending[write.key] = write
        self._changed()

    def _unknown(self, key: str) -> None:
        if key in self._pending and self._pending[key].state is not WriteState.UNKNOWN:
            self._keep(replace(self._pending[key], state=WriteState.UNKNOWN))

    def _accepted(self, key: str, answer: Answer) -> None:
        cursor = answer.headers.get("Stream-Cursor")
        if key in self._pending and cursor is not None:
            self._keep(replace(self._pending[key], state=WriteState.ACCEPTED, cursor=cursor))
        else:
            self._forget(key)

    def _forget(self, key: str) -> None:
        if self._pending.pop(key, None) is not None:
            self._changed()
