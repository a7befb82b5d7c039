"""Shares the event loop among clients: so much of their work in each pass of the loop, by turns between accounts."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from time import perf_counter

# Of such work in one pass of the loop. An answer takes some ten passes, so each of them has to be short.
PASS_SECONDS = 0.0005

# A step that lasts longer is followed by a rest as long as itself.
LONG_SECONDS = 0.001


class FairTurns:
    """Gives out turns to one account after the other, as many in each pass of the loop as there is time for.

    An account is whatever clients share when they are one to us: their address. However much one asks for, another
    waits for one turn of each that works now, and not for all that was asked before.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()
        self._spent = 0.0  # in this pass of the loop
        self._granted_at: float | None = None
        self._is_arranged = False

    def __len__(self) -> int:
        return len(self._waiting)

    def run(self, act: Callable[..., None], *args: object) -> bool:
        """Do a bounded piece of work, or return False where this pass of the loop has no time for it: then `add` it."""
        if self._waiting or self._spent >= PASS_SECONDS:
            return False
        self._arrange()
        began = perf_counter()
        act(*args)
        self._spent += perf_counter() - began
        return True

    def add(self, account: str, act: Callable[[], None]) -> None:
        """Do a bounded piece of work, which never fails, in one of the next passes of the loop."""
        self._waiting.setdefault(account, deque()).append(act)
        self._arrange()

    async def take(self, account: str) -> None:
        """Return when it is this account's turn, for a step of work that fills the rest of this pass of the loop."""
        if not self._waiting and self._spent < PASS_SECONDS:
            self._give()
            return
        turn = asyncio.get_running_loop().create_future()
        self.add(account, partial(self._grant, turn))
        await turn

    def charge(self, seconds: float) -> None:
        """Count work that is still to be done in this turn's name."""
        self._spent += seconds
        self._arrange()

    def _grant(self, turn: "asyncio.Future[None]") -> None:
        if not turn.done():  # else it was cancelled
            self._give()
            turn.set_result(None)

    def _give(self) -> None:
        self._granted_at = perf_counter()
        self.charge(PASS_SECONDS)

    def _arrange(self) -> None:
        if not self._is_arranged:
            self._is_arranged = True
            asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_arranged = False
        if self._granted_at is not None:
            lasted, self._granted_at = perf_counter() - self._granted_at, None
            if lasted > LONG_SECONDS:  # such a step could not be divided: what was kept waiting by it goes first
                self._is_arranged = True
                asyncio.get_running_loop().call_later(lasted, self._next_pass)
                return
        self._spent = 0.0
        while self._waiting:
            account, acts = self._waiting.popitem(last=False)
            act = acts.popleft()
            if acts:
                self._waiting[account] = acts  # behind the others
            began = perf_counter()
            act()
            self._spent += perf_counter() - began
            if self._spent >= PASS_SECONDS:
                break
        if self._waiting:
            self._arrange()


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
        self._until = perf_counter() + PASS_SECONDS

    async def step(self) -> None:
        """Go on, or wait for another turn where this one has lasted long enough."""
        if perf_counter() > self._until:
            await self.begin()
