"""Gathers new orders into groups that are stored together; where MongoDB refuses one of a group, each goes alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from services.gateway.coalescer import Coalescer
from services.gateway.kept_answers import KeyTaken
from services.gateway.store_errors import OutcomeUnknown, StoreError, StoreUnavailable

_MOST = 100

M = TypeVar("M")


class StoredAt(NamedTuple):
    """Where a change is in the stream: its cluster time, where that is known, and its ordinal among those of it."""

    at: int | None
    ordinal: int


@dataclass(frozen=True, slots=True, eq=False)  # equal orders are two orders
class _Insert(Generic[M]):
    member: M


_Outcomes = Mapping[_Insert[M], StoredAt | StoreError | KeyTaken]


class InsertGroups(Generic[M]):
    """The orders that come while a group is stored go together next; one that comes alone is stored at once.

    ``together`` stores a group of ``least`` orders or more, and ``alone`` one order; both return the cluster time, and
    raise StoreError or KeyTaken. Nobody waits longer than ``patience``, where it is given, for the group before.
    """

    def __init__(
        self,
        together: Callable[[Sequence[M]], Awaitable[int | None]],
        alone: Callable[[M], Awaitable[int | None]],
        *,
        least: int,
        patience: float | None = None,
    ) -> None:
        self._together = together
        self._alone = alone
        self._least = least
        self._patience = patience
        self._coalescer = Coalescer(self._store, _MOST, self._wait_for_previous)
        self._in_flight: asyncio.Future[None] | None = None  # the newest group

    async def insert(self, member: M) -> StoredAt:
        """Store it; raise StoreError or KeyTaken."""
        outcome = await self._coalescer.call(_Insert(member))
        if isinstance(outcome, StoredAt):
            return outcome
        raise outcome or RuntimeError("a new order was neither stored nor refused")

    async def _wait_for_previous(self) -> None:
        if self._in_flight is not None:
            await asyncio.wait([self._in_flight], timeout=self._patience)

    @contextmanager
    def _keeping_others_waiting(self) -> Iterator[None]:
        stored = self._in_flight = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            stored.set_result(None)

    async def _store(self, inserts: Sequence[_Insert[M]]) -> _Outcomes[M]:
        with self._keeping_others_waiting():
            if len(inserts) < self._least:
                return await self._each_alone(inserts)
            try:
                at = await self._together([each.member for each in inserts])
            except (OutcomeUnknown, StoreUnavailable):
                raise
            except (StoreError, KeyTaken):
                pass  # nothing was stored, because of one of them
            else:
                return {each: StoredAt(at, ordinal) for ordinal, each in enumerate(inserts)}
        return await self._each_alone(inserts)

    async def _each_alone(self, inserts: Sequence[_Insert[M]]) -> _Outcomes[M]:
        outcomes = await asyncio.gather(*(self._outcome(each.member) for each in inserts))
        return dict(zip(inserts, outcomes, strict=True))

    async def _outcome(self, member: M) -> StoredAt | StoreError | KeyTaken:
        try:
            return StoredAt(await self._alone(member), 0)
        except (StoreError, KeyTaken) as error:
            return error
