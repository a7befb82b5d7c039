"""Bounds the requests that MongoDB is busy with; the others wait in a short line, or are refused."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from services.common.contention import Contention
from services.common.deadlines import Deadlines
from services.front.shortage import Shortage
from services.gateway.in_flight import Patience
from services.gateway.store_errors import Overloaded

AT_ONCE = 64
# The slots of one account while others want some, too: with more, MongoDB and this process would mostly work for it.
OF_ONE = 2
# The longest wait in the line; then the request is refused, and may be answered sooner by another gateway or later.
WAIT_SECONDS = 0.5
# Once the first request of an account has waited so long, its next ones are refused at once. So only the requests of a
# burst, which are in the line already, wait for longer.
FULL_SECONDS = 0.25


class Spent:
    """How long a request has waited at the gate, and then held a slot; in seconds."""

    __slots__ = ("passed", "waited")

    def __init__(self) -> None:
        self.waited: float | None = None
        self.passed: float | None = None


class _Waiting:
    __slots__ = ("account", "since", "turn")

    def __init__(self, account: str, since: float, turn: "asyncio.Future[None]") -> None:
        self.account = account
        self.since = since
        self.turn = turn


class MongodbGate:
    """Lets ``at_once`` requests pass, one account after the other, so that a flood of one delays no other.

    The line needs no bound of its own: each connection has one request in flight, and connections are bounded.
    """

    def __init__(
        self,
        at_once: int = AT_ONCE,
        *,
        wait: float = WAIT_SECONDS,
        full: float = FULL_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.at_once = at_once
        self.turned_away: Callable[[], None] = _ignore
        # How long a request may wait here, or for something else on its way here.
        self.patience = Patience(wait, full, self._refusal)
        self._contention = Contention(clock)
        self._inside: Counter[str] = Counter()
        self._passing = 0
        self._lines: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._overdue = Deadlines[_Waiting](wait, self._give_up)
        self._shortage = Shortage("Overloaded: requests are refused", "No request has been refused for a while")

    @property
    def passing(self) -> int:
        """How many requests MongoDB is busy with."""
        return self._passing

    @property
    def waiting(self) -> int:
        """How many wait in the line."""
        return sum(map(len, self._lines.values()))

    def is_full(self, account: str) -> bool:
        """Tell whether another request of this account would wait too long."""
        line = self._lines.get(account)
        return line is not None and self.patience.is_over(line[0].since)

    def check(self, account: str) -> None:
        """Raise Overloaded where another request of this account would wait too long."""
        if self.is_full(account):
            raise self._refusal()

    @asynccontextmanager
    async def slot(self, account: str, spent: Spent | None = None) -> AsyncIterator[None]:
        """Hold a slot; raise Overloaded. The times are added to ``spent``."""
        began = monotonic()
        await self._enter(account)
        passed = monotonic()
        try:
            yield
        finally:
            self._leave(account)
            if spent is not None:
                spent.waited = (spent.waited or 0.0) + passed - began
                spent.passed = (spent.passed or 0.0) + monotonic() - passed

    async def _enter(self, account: str) -> None:
        self._contention.note(account)
        if self._may_pass(account) and account not in self._lines:
            self._admit(account)
            return
        self.check(account)
        waiting = _Waiting(account, monotonic(), asyncio.get_running_loop().create_future())
        self._lines.setdefault(account, deque()).append(waiting)
        overdue = self._overdue.add(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.cancelled():
                self._forget(waiting)
            elif waiting.turn.exception() is None:  # its turn had come
                self._leave(account)
            raise
        finally:
            overdue.cancel()

    def _may_pass(self, account: str) -> bool:
        return self._passing < self.at_once and (self._inside[account] < OF_ONE or not self._contention.is_present)

    def _admit(self, account: str) -> None:
        self._passing += 1
        self._inside[account] += 1

    def _leave(self, account: str) -> None:
        self._passing -= 1
        self._inside[account] -= 1
        if not self._inside[account]:
            del self._inside[account]
        self._let_in()

    def _let_in(self) -> None:
        """Give the free slots to one account after the other."""
        skipped = 0
        while self._passing < self.at_once and skipped < len(self._lines):
            account, line = self._lines.popitem(last=False)
            if not self._may_pass(account):
                self._lines[account] = line
                skipped += 1
                continue
            skipped = 0
            first = line.popleft()
            if line:
                self._lines[account] = line  # behind the others
            if not first.turn.done():
                self._admit(account)
                first.turn.set_result(None)

    def _give_up(self, waiting: _Waiting) -> None:
        if not waiting.turn.done():
            self._forget(waiting)
            waiting.turn.set_exception(self._refusal())

    def _forget(self, waiting: _Waiting) -> None:
        line = self._lines.get(waiting.account)
        if line is not None and waiting in line:
            line.remove(waiting)
            if not line:
                del self._lines[waiting.account]

    def note_refusal(self) -> None:
        """Note that a request is turned away."""
        self.turned_away()
        self._shortage.notice("overloaded", passing=self._passing)

    def _refusal(self) -> Overloaded:
        self.note_refusal()
        return Overloaded("too many requests wait for MongoDB")

    def close(self) -> None:
        """Stop all timers."""
        self._overdue.close()
        self._shortage.close()


def _ignore() -> None:
    """Nobody counts."""
