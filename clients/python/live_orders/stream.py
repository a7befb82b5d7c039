"""A stream of events that goes on after any break, over any transport that is to be had, from the last one received."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from live_orders.errors import AccessEnded
from live_orders.server import Server, Unavailable
from live_orders.transport_choice import Choice, Transport

SNAPSHOT = "snapshot"  # in place of a cursor, while the orders themselves are being sent
_SOON = 2.0  # seconds; a warning that comes sooner is about a token that was short-lived from the start
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 8.0  # seconds

Lost = Callable[[str | None], None]
"""Called with why the connection is lost, and with None when it is open again."""
T = TypeVar("T")


class StreamEvent(NamedTuple):
    """What a stream hands out; ``told`` is the payload, None where only the id has moved."""

    name: str
    told: Any
    id: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """Which events: ``path`` with ``query`` and ``wanted`` say the same, for each kind of transport.

    Where ``since`` is `SNAPSHOT`, the orders come, too.
    """

    path: str
    query: list[tuple[str, str]]
    wanted: Mapping[str, Sequence[str]]
    since: str | None


Connect = Callable[[Target, str | None], AsyncGenerator[StreamEvent, None]]
"""Gives the events of one connection, those after a cursor; raises Unavailable, AccessEnded and Refused."""


class Stream:
    """Connects again and again; each event comes once, because the server resumes after the id of the last."""

    def __init__(self, server: Server, target: Target, ways: Mapping[Transport, Connect], lost: Lost) -> None:
        self._server = server
        self._target = target
        self._ways = ways
        self._choice = Choice(list(ways))
        self._lost = lost
        self._last = target.since
        self._is_whole = target.since == SNAPSHOT
        self._failures = 0
        self._connected_at = 0.0
        self._at_least = 0.0  # seconds until the next connection
        self._is_changing = False  # the transport
        self._scope: asyncio.Timeout | None = None

    @property
    def transport(self) -> Transport:
        """The transport that is used, or tried."""
        return self._choice.now

    def use(self, transport: Transport) -> None:
        """Go on over another transport, from where the stream is."""
        if transport is self.transport:
            return
        self._choice.use(transport)
        self._is_changing = True
        if self._scope is not None and not self._scope.expired():  # by an earlier change, which is under way
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """Return the events; raise AccessEnded and Refused, where there will be no more. Close it after use."""
        while True:
            self._is_changing = False
            is_going_on = False  # at once
            try:
                async with aclosing(self._of_one_connection()) as events:
                    async for event in events:
                        yield event
                        is_going_on = event.name == "resync" and self._last == SNAPSHOT != event.id
                if not (is_going_on or self._is_changing):
                    self._choice.failed()
                self._lost("the stream ended")
            except Unavailable as error:
                # A server that says when to come back is reached, and says so over any transport.
                if not self._is_changing and not error.after:
                    is_going_on = self._choice.failed()
                self._lost(str(error))
                self._at_least = max(self._at_least, error.after)
            if not (is_going_on or self._is_changing):
                await self._unless_changing(asyncio.sleep(self._pause()))

    async def _of_one_connection(self) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(self._ways[self.transport](self._target, self._last)) as connection:
            while (event := await self._unless_changing(anext(connection, None))) is not None:
                if event.name == "retry":
                    self._at_least = event.told
                    continue
                if event.name == "connected":
                    self._failures = 0
                    self._connected_at = monotonic()
                    if not self._is_changing and self._choice.succeeded():
                        self._is_changing = True
                        return
                if self._is_trusted(event):
                    self._lost(None)
                # Where we are not goes on only after what the server says next of the changes in between.
                if event.id is not None and (event.name != "connected" or self._last is None):
                    self._last = event.id
                # Over Socket.IO, only what a connection began with is sent anew by itself.
                is_asked_anew = event.name == "resync" and self._is_whole and event.id != SNAPSHOT
                if is_asked_anew:
                    self._last = SNAPSHOT
                yield event
                if is_asked_anew or await self._ends_connection(event):
                    return

    async def _unless_changing(self, awaited: Awaitable[T]) -> T | None:
        """Await something, but not after the transport is to be changed."""
        try:
            async with asyncio.timeout(0 if self._is_changing else None) as self._scope:
                return await awaited
        except TimeoutError:  # the connections translate their own
            return None
        finally:
            self._scope = None

    def _is_trusted(self, event: StreamEvent) -> bool:
        """Tell whether the event shows that the stream goes on where we are.

        A server that greets with another position than ours will say in its next event that the changes in between
        cannot be delivered.
        """
        if event.name == "connected":
            return self._last is None or event.id in {self._last, SNAPSHOT}
        return event.name in {"resync", "live"}

    async def _ends_connection(self, event: StreamEvent) -> bool:
        """Tell whether to connect again with another token, because this one is about to end or has ended."""
        is_warning = event.name == "expiring" and monotonic() - self._connected_at >= _SOON
        if event.name != "ended" and not is_warning:
            return False
        reason = (event.told or {}).get("reason", "token_expired")
        if self._server.can_renew and reason != "token_revoked":
            await self._server.renew()
            return True
        if event.name == "ended":
            raise AccessEnded(reason)
        return False

    def _pause(self) -> float:
        self._failures += 1
        pause: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
        return max(self._at_least if self._failures > 1 else 0.0, pause * random.uniform(0.5, 1.0))
