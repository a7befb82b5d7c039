"""Shares the event loop among long pieces of work: a step in each pass of the loop, by turns between their accounts."""

import asyncio
from collections import OrderedDict, deque
from time import perf_counter

STEP_SECONDS = 0.002  # of work in one pass of the loop; what else is due waits for no longer


class FairTurns:
    """Gives out turns, one in each pass of the loop, to one account after the other.

    An account is whatever clients share when they are one to us: their address. However much one asks for, another
    waits for one step of each that works now, and not for all that was asked before.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._is_taken = False  # in this pass of the loop

    async def take(self, account: str) -> None:
        """Return once it is this account's turn, at once where nobody else has one."""
        loop = asyncio.get_running_loop()
        if not self._is_taken and not self._waiting:
            self._is_taken = True
            loop.call_soon(self._next)
            return
        turn = loop.create_future()
        self._waiting.setdefault(account, deque()).append(turn)
        await turn

    def _next(self) -> None:
        self._is_taken = False
        while self._waiting:
            account, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[account] = turns  # behind the others
            if not turn.done():  # else it was cancelled
                self._is_taken = True
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next)
                return


class Pace:
    """The turns of one piece of work: ``await begin()`` before its first step, and ``await step()`` after each."""

    __slots__ = ("_account", "_turns", "_until")

    def __init__(self, turns: FairTurns, account: str) -> None:
        self._turns = turns
        self._account = account
        self._until = 0.0

    async def begin(self) -> None:
        """Wait for a turn."""
        await self._turns.take(self._account)
        self._until = perf_counter() + STEP_SECONDS

    async def step(self) -> None:
        """Go on, or wait for another turn where this one has lasted long enough."""
        if perf_counter() > self._until:
            await self.begin()
