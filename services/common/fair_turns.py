"""Shares the event loop among clients: a bounded time for their work in each pass, in turn between accounts."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter, thread_time
from typing import TypeVar

from services.common.account_queue import AccountQueue, Act
from services.common.cooldowns import Cooldowns

# For such work in one pass of the loop. A response takes some ten passes, so each of them must be short.
PASS_SECONDS = 0.0005

INTERNAL = "internal"  # the account of work for no client in particular

T = TypeVar("T")
Soon = Callable[[Callable[[], None]], object]


def shared_account(what: str) -> str:
    """Return an account for work that several clients wait for, which none of their addresses pays for."""
    return f"{INTERNAL} {what}"


def _is_client(account: str) -> bool:
    return not account.startswith(INTERNAL)  # as no address does


def call_soon(call: Callable[[], None]) -> None:
    """Let the running loop call it, once it has done what is due now.

    In a context of its own: the caller's may hold the deadline of a question to MongoDB (`pymongo.timeout`), which
    every task that is started in the turn of another would inherit, and for ever.
    """
    asyncio.get_running_loop().call_soon(call, context=Context())


class FairTurns:
    """Gives out turns to one account after the other, as many in each pass of the loop as there is time for.

    Clients of one address share an account. However much one account requests, another waits for one turn of each
    active account, not for all earlier requests. The gateway's own work for all clients has accounts, too.
    """

    def __init__(self, soon: Soon = call_soon, clock: Callable[[], float] = perf_counter) -> None:
        self._soon = soon
        self._cooldowns = Cooldowns(clock)
        self._waiting: OrderedDict[str, AccountQueue] = OrderedDict()
        self._spent = 0.0  # in this pass of the loop
        self.charged = 0.0  # seconds so far, to all accounts of clients
        self.passes = 0
        self._worked: float | None = None  # see `worked`
        self._is_arranged = False
        self._cooling_down: dict[str, AccountQueue] = {}  # what waits of accounts in a cooldown
        self._timer: asyncio.Handle | None = None
        self._wakes_at = math.inf  # kept here: uvloop's handle of a timer that is due at once does not know when

    def run(self, account: str, act: Callable[..., None], *args: object) -> bool:
        """Do a bounded piece of work, or return False where it must wait: then `add` it.

        It must where this pass of the loop has no time for it, or the account is in a cooldown.
        """
        if self._waiting or self._spent >= PASS_SECONDS or self._cooldowns.of(account):
            return False
        self._note(account)
        self._arrange()
        began = perf_counter()
        try:
            act(*args)
        finally:
            self._spend(account, perf_counter() - began)
        return True

    def add(self, account: str, act: Callable[[], None], transport: asyncio.Transport | None = None) -> None:
        """Begin a bounded piece of work in one of the next passes of the loop; if it fails, abort the transport."""
        self._append(account, (act, transport, copy_context(), self.worked()), begun=False)

    def _append(self, account: str, act: Act, *, begun: bool) -> None:
        self._note(account)
        queue = self._cooling_down.get(account)
        if queue is None:
            queue = self._waiting.get(account)
            if queue is None:
                queue = self._waiting[account] = AccountQueue()
            self._arrange()
        queue.append(act, begun=begun)

    def waits(self, account: str) -> float:
        """Return for how long the account has waited to begin something, in seconds of this thread's own work.

        What else the machine is busy with makes nobody wait longer by this measure.
        """
        queue = self._waiting.get(account) or self._cooling_down.get(account)
        oldest = None if queue is None else queue.oldest
        return 0.0 if oldest is None else self.worked() - oldest[3]

    def worked(self) -> float:
        """Return for how long this thread has worked so far, in seconds, as of this pass of the loop.

        It is read once a pass: to ask the system for it costs as much as a thirtieth of a connect.
        """
        if self._worked is None:
            self._worked = thread_time()
        return self._worked

    async def take(self, account: str) -> None:
        """Return when it is this account's turn, for a step of work that fills the rest of this pass of the loop."""
        if not self._waiting and self._spent < PASS_SECONDS and not self._cooldowns.of(account):
            self._note(account)
            self._fill_pass()
            return
        turn = asyncio.get_running_loop().create_future()
        self._append(account, (partial(self._grant, turn), None, copy_context(), self.worked()), begun=True)
        await turn

    def expect(self, seconds: float) -> None:
        """Leave time in this pass of the loop for work that will follow: of a request that was just read."""
        self._spent += seconds
        self._arrange()

    def charge(self, account: str, seconds: float) -> None:
        """Charge the account, and this pass of the loop, for work that was done without a turn."""
        if self._cooldowns.contention.is_present:
            self._spend(account, seconds)
            self._arrange()

    def _spend(self, account: str, seconds: float) -> None:
        self._spent += seconds
        if self._cooldowns.contention.is_present and _is_client(account):
            self.charged += seconds
            self._cooldowns.note(account, seconds)

    def lasted(self, account: str, seconds: float, *, was_whole: bool = False) -> None:
        """Note how long a step, or work that could not be divided, has taken: a long one is followed by a cooldown."""
        if is_client := _is_client(account):
            self.charged += seconds
        self._cooldowns.note(account, seconds, was_whole=was_whole, is_client=is_client)

    def _note(self, account: str) -> None:
        if _is_client(account):
            self._cooldowns.contention.note(account)

    def _grant(self, turn: "asyncio.Future[None]") -> None:
        if not turn.done():  # else it was cancelled
            turn.set_result(None)  # first, so that the step is done, and noted where it was long, before the next pass
            self._fill_pass()

    def _fill_pass(self) -> None:
        """The step that follows has the rest of this pass; how long it lasts is noted when it has ended."""
        self._spent += PASS_SECONDS
        self._arrange()

    def _arrange(self) -> None:
        if not self._is_arranged:
            self._is_arranged = True
            self._soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_arranged = False
        self._spent = 0.0
        self._worked = None
        self.passes += 1
        while self._waiting:
            account, queue = self._waiting.popitem(last=False)
            if cooldown := self._cooldowns.of(account):
                self._cooling_down[account] = queue
                self._wake_after(cooldown)
                continue
            act, transport, context, _ = queue.popleft()
            if queue:
                self._waiting[account] = queue  # behind the others
            began = perf_counter()
            try:
                context.run(act)
            except Exception as error:  # noqa: BLE001 - an error of one client must not cost the others their turn
                failed = {"message": "Work for a client failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(failed)
                if transport is not None:
                    transport.abort()
            self._spend(account, perf_counter() - began)
            if self._spent >= PASS_SECONDS:
                break
        if self._spent or self._waiting:
            self._arrange()

    def _wake_after(self, cooldown: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + cooldown
        if at < self._wakes_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._wakes_at = loop.call_at(at, self._wake, context=Context()), at

    def _wake(self) -> None:
        self._timer, self._wakes_at = None, math.inf
        for account in list(self._cooling_down):
            if not self._cooldowns.of(account):
                self._waiting[account] = self._cooling_down.pop(account)
        if self._cooling_down:
            self._wake_after(min(map(self._cooldowns.of, self._cooling_down)))
        self._arrange()


class Pace:
    """The turns of one piece of work: ``await begin()`` before its first step, and ``await step()`` after each.

    Where the work has waited for something else within a step, nobody knows how long its own part was: it just takes
    another turn.
    """

    __slots__ = ("_account", "_began", "_pass", "_turns")

    def __init__(self, turns: FairTurns, account: str) -> None:
        self._turns = turns
        self._account = account
        self._began = 0.0
        self._pass = -1

    async def begin(self) -> None:
        """Wait for a turn."""
        await self._turns.take(self._account)
        self._began, self._pass = perf_counter(), self._turns.passes

    async def step(self) -> None:
        """Go on, or wait for another turn where this one has lasted long enough."""
        if self._pass == self._turns.passes:
            seconds = perf_counter() - self._began
            if seconds <= PASS_SECONDS:
                return
            self._turns.lasted(self._account, seconds)
        await self.begin()

    async def whole(self, work: Callable[[], T]) -> T:
        """Return the result of work that cannot be divided, which is done in one turn."""
        await self.begin()
        try:
            return work()
        finally:
            self.end()

    def end(self) -> None:
        """Note the only step of work that could not be divided."""
        if self._pass == self._turns.passes:
            self._turns.lasted(self._account, perf_counter() - self._began, was_whole=True)
