"""Bounds the operations in flight per account; excess ones wait without delaying other accounts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class _Gate:
    __slots__ = ("semaphore", "users")

    def __init__(self, limit: int) -> None:
        self.semaphore = asyncio.Semaphore(limit)
        self.users = 0  # in flight or waiting


class InFlight:
    """At most ``limit`` at once for each account; idle accounts are forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._gates: dict[str, _Gate] = {}

    def __len__(self) -> int:
        return len(self._gates)

    @asynccontextmanager
    async def slot(self, account: str) -> AsyncIterator[None]:
        """Hold one of the account's slots, granted in order of arrival."""
        gate = self._gates.get(account)
        if gate is None:
            gate = self._gates[account] = _Gate(self._limit)
        gate.users += 1
        try:
            async with gate.semaphore:
                yield
        finally:
            gate.users -= 1
            if not gate.users:
                del self._gates[account]
