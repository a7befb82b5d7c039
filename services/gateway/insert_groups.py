"""Gathers new orders into groups that are stored together; where MongoDB refuses one of a group, each goes alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from services.gateway.batch_loader import BatchLoader
from services.gateway.kept_answers import KeyTaken
from services.gateway.store_errors import OutcomeUnknown, StoreError, StoreUnavailable

_MOST = 100

M = TypeVar("M")


class StoredAt(NamedTuple):
    """Where a change is in the stream: its cluster time, where that is known, and its ordinal among those of it."""

    at: int | None
    ordinal: int


@dataclass(frozen=True, slots=True, eq=False)  # no two are the same
class _Asked(Generic[M]):
    member: M


_Outcomes = Mapping[_Asked[M], StoredAt | StoreError | KeyTaken]


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
        self._loader = BatchLoader(self._store, _MOST, self._gathered)
        self._in_flight: asyncio.Future[None] | None = None  # the newest group

    async def insert(self, member: M) -> StoredAt:
        """Store it; raise StoreError or KeyTaken."""
        outcome = await self._loader.get(_Asked(member))
        if isinstance(outcome, StoredAt):
            return outcome
        raise outcome or RuntimeError("a new order was neither stored nor refused")

    async def _gathered(self) -> None:
        if self._in_flight is not None:
            await asyncio.wait([self._in_flight], timeout=self._patience)

    @contextmanager
    def _keeping_others_waiting(self) -> Iterator[None]:
        stored = self._in_flight = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            stored.set_result(None)

    async def _store(self, asked: Sequence[_Asked[M]]) -> _Outcomes[M]:
        with self._keeping_others_waiting():
            if len(asked) < self._least:
                return await self._each_alone(asked)
            try:
                at = await self._together([each.member for each in asked])
            except (OutcomeUnknown, StoreUnavailable):
                raise
            except (StoreError, KeyTaken):
                pass  # nothing was stored, because of one of them
            else:
                return {each: StoredAt(at, ordinal) for ordinal, each in enumerate(asked)}
        return await self._each_alone(asked)

    async def _each_alone(self, asked: Sequence[_Asked[M]]) -> _Outcomes[M]:
        outcomes = await asyncio.gather(*(self._outcome(each.member) for each in asked))
        return dict(zip(asked, outcomes, strict=True))

    async def _outcome(self, member: M) -> StoredAt | StoreError | KeyTaken:
        try:
            return StoredAt(await self._alone(member), 0)
        except (StoreError, KeyTaken) as error:
            return error
