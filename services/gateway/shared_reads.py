"""Lets equal requests share a read: a thousand pages that load at once cost MongoDB a handful of reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from services.gateway.in_flight import InFlight
from services.gateway.store_errors import Overloaded

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# Between the starts of two equal reads, for each request that shared the first: a crowd of a thousand makes less than
# ten reads in its first second, and a few clients wait no longer than it takes to answer them.
PAUSE_FOR_EACH = 0.002
LONGEST_PAUSE = 0.25


class _Shared(NamedTuple, Generic[V]):
    value: V


class _Batch(Generic[V]):
    """The requests that share one read. What they wait for is None where each must read for itself."""

    def __init__(self) -> None:
        self.requests = 1
        self.outcome: asyncio.Future[_Shared[V] | None] = asyncio.get_running_loop().create_future()

    async def join(self, requests: int = 1) -> _Shared[V] | None:
        """Wait for the outcome, as so many more requests."""
        self.requests += requests
        return await asyncio.shield(self.outcome)  # a request that is cancelled must not cancel the others'

    def settle(self, outcome: _Shared[V] | None) -> None:
        """Tell the requests that wait."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Let the read's error be theirs, too."""
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # not a mistake where nobody waits for it


class SharedReads(Generic[K, V]):
    """A request shares a read only if it starts after the request has come: so everyone reads their own writes.

    Of equal reads one runs at a time. The request that causes it holds a slot of its account until it is done with the
    result; the others hold none, so they get a result only if ``is_small`` says so, and else read for themselves.
    """

    def __init__(self, slots: InFlight, is_small: Callable[[V], bool] = lambda _: True) -> None:
        self._slots = slots
        self._is_small = is_small
        self._queued: dict[tuple[K, str], _Batch[V]] = {}  # wait for a slot of their account
        self._waiting: dict[K, _Batch[V]] = {}  # have one, and wait for the read before to end
        self._running: dict[K, asyncio.Future[None]] = {}
        self._not_before: dict[K, float] = {}

    def __len__(self) -> int:
        """The number of keys that it knows anything of."""
        return len(self._queued) + len({*self._waiting, *self._running, *self._not_before})

    @asynccontextmanager
    async def reading(self, key: K, account: str, read: Callable[[], Awaitable[V]]) -> AsyncIterator[V]:
        """Yield what ``read`` returns, called after this call: by this request, or by another one with an equal key.

        An error of it reaches all of them, except Overloaded: that is for the account which caused the read.
        """
        batch = self._waiting.get(key) or self._queued.get((key, account))
        if batch is not None:
            shared = await batch.join()
            if shared is not None:
                yield shared.value
                return
            async with self._slots.slot(account):
                yield await read()
            return
        batch = self._queued[key, account] = _Batch[V]()
        try:
            async with self._slots.slot(account):
                del self._queued[key, account]
                yield await self._lead(key, batch, read)
        finally:
            batch.settle(None)
            if self._queued.get((key, account)) is batch:
                del self._queued[key, account]

    async def _lead(self, key: K, batch: _Batch[V], read: Callable[[], Awaitable[V]]) -> V:
        """Read as soon as it may be, for the requests of the batch and for those that come until then."""
        other = self._waiting.get(key)
        if other is not None:  # it began while this one waited for its slot
            shared = await other.join(batch.requests)
            batch.settle(shared)
            return await read() if shared is None else shared.value
        self._waiting[key] = batch
        try:
            try:
                await self._turn(key)
            finally:
                del self._waiting[key]
            with self._running_now(key, batch.requests):
                value = await read()
        except Overloaded:
            raise  # others may be let in: each reads for itself
        except Exception as error:
            batch.fail(error)
            raise
        batch.settle(_Shared(value) if self._is_small(value) else None)
        return value

    async def _turn(self, key: K) -> None:
        """Wait for the read before, and for the pause after it."""
        running = self._running.get(key)
        if running is not None:
            await asyncio.shield(running)
        await asyncio.sleep(max(0.0, self._not_before.get(key, 0.0) - monotonic()))

    @contextmanager
    def _running_now(self, key: K, requests: int) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        running = self._running[key] = loop.create_future()
        not_before = monotonic() + min(LONGEST_PAUSE, PAUSE_FOR_EACH * (requests - 1))
        try:
            yield
        finally:
            del self._running[key]
            running.set_result(None)
            if not_before > monotonic():
                self._not_before[key] = not_before
                loop.call_later(not_before - monotonic(), self._forget, key, not_before)

    def _forget(self, key: K, not_before: float) -> None:
        if self._not_before.get(key) == not_before:
            del self._not_before[key]
