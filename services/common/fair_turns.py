"""Shares the event loop among clients: a bounded time for their work in each pass, in turn between accounts."""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter

# For such work in one pass of the loop. A response takes some ten passes, so each of them must be short.
PASS_SECONDS = 0.0005

# A step that lasts longer is followed by a rest as long as itself.
LONG_SECONDS = 0.001

OWN = "own"  # the account of work for no client in particular

_CONTENDED_SECONDS = 1.0
_RESTS = 100  # accounts; beyond, those that have rested are forgotten

_Act = tuple[Callable[[], None], asyncio.Transport | None, Context]
Soon = Callable[[Callable[[], None]], object]


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

    def __init__(self, soon: Soon = call_soon) -> None:
        self._soon = soon
        self._waiting: OrderedDict[str, deque[_Act]] = OrderedDict()
        self._spent = 0.0  # in this pass of the loop
        self._is_arranged = False
        self._rests: dict[str, float] = {}  # until when
        self._resting: dict[str, deque[_Act]] = {}  # what waits of accounts that rest
        self._timer: asyncio.TimerHandle | None = None
        self._last_account: str | None = None
        self._contended_until = -math.inf

    def run(self, act: Callable[..., None], *args: object) -> bool:
        """Do a bounded piece of work, or return False where this pass of the loop has no time for it: then `add` it."""
        if self._waiting or self._spent >= PASS_SECONDS:
            return False
        self._arrange()
        began = perf_counter()
        try:
            act(*args)
        finally:
            self._spent += perf_counter() - began
        return True

    def add(self, account: str, act: Callable[[], None], transport: asyncio.Transport | None = None) -> None:
        """Do a bounded piece of work in one of the next passes of the loop; if it fails, abort the transport."""
        if account in self._resting:
            self._resting[account].append((act, transport, copy_context()))
            return
        self._waiting.setdefault(account, deque()).append((act, transport, copy_context()))
        self._arrange()

    async def take(self, account: str) -> None:
        """Return when it is this account's turn, for a step of work that fills the rest of this pass of the loop."""
        if not self._waiting and self._spent < PASS_SECONDS and not self._rests_now(account):
            self.charge(PASS_SECONDS)
            return
        turn = asyncio.get_running_loop().create_future()
        self.add(account, partial(self._grant, turn))
        await turn

    def asked(self, account: str) -> None:
        """Note which account makes a request, for `is_contended`."""
        if account != self._last_account:
            if self._last_account is not None:
                self._contended_until = asyncio.get_running_loop().time() + _CONTENDED_SECONDS
            self._last_account = account

    @property
    def is_contended(self) -> bool:
        """Whether more than one account has made requests in the last second."""
        return asyncio.get_running_loop().time() < self._contended_until

    def charge(self, seconds: float) -> None:
        """Charge this pass of the loop for work that will follow, such as that of a request which was just read."""
        self._spent += seconds
        self._arrange()

    def lasted(self, account: str, seconds: float) -> None:
        """Note how long a step has taken: after one that could not be divided, its account rests for as long."""
        if seconds > LONG_SECONDS:
            now = perf_counter()
            if len(self._rests) > _RESTS:
                self._rests = {each: until for each, until in self._rests.items() if until > now}
            self._rests[account] = max(self._rests.get(account, 0.0), now + seconds)

    def _rests_now(self, account: str) -> bool:
        until = self._rests.get(account)
        if until is None:
            return False
        if until > perf_counter():
            return True
        del self._rests[account]
        return False

    def _grant(self, turn: "asyncio.Future[None]") -> None:
        if not turn.done():  # else it was cancelled
            self.charge(PASS_SECONDS)
            turn.set_result(None)

    def _arrange(self) -> None:
        if not self._is_arranged:
            self._is_arranged = True
            self._soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_arranged = False
        self._spent = 0.0
        while self._waiting:
            account, acts = self._waiting.popitem(last=False)
            if self._rests_now(account):
                self._resting[account] = acts
                self._wake_at(self._rests[account])
                continue
            act, transport, context = acts.popleft()
            if acts:
                self._waiting[account] = acts  # behind the others
            began = perf_counter()
            try:
                context.run(act)
            except Exception as error:  # noqa: BLE001 - an error of one client must not cost the others their turn
                failed = {"message": "What a client has sent could not be read", "exception": error}
                asyncio.get_running_loop().call_exception_handler(failed)
                if transport is not None:
                    transport.abort()
            self._spent += perf_counter() - began
            if self._spent >= PASS_SECONDS:
                break
        if self._spent or self._waiting:
            self._arrange()

    def _wake_at(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, until - perf_counter())
        if self._timer is None or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._wake, context=Context())

    def _wake(self) -> None:
        self._timer = None
        for account in list(self._resting):
            if not self._rests_now(account):
                self._waiting[account] = self._resting.pop(account)
        if self._resting:
            self._wake_at(min(self._rests[account] for account in self._resting))
        self._arrange()


class Pace:
    """The turns of one piece of work: ``await begin()`` before its first step, and ``await step()`` after each."""

    __slots__ = ("_account", "_began", "_turns")

    def __init__(self, turns: FairTurns, account: str) -> None:
        self._turns = turns
        self._account = account
        self._began = 0.0

    async def begin(self) -> None:
        """Wait for a turn."""
        await self._turns.take(self._account)
        self._began = perf_counter()

    async def step(self) -> bool:
        """Go on, or wait for another turn where this one has lasted long enough; tell whether it was so."""
        seconds = perf_counter() - self._began
        if seconds <= PASS_SECONDS:
            return False
        self._turns.lasted(self._account, seconds)
        await self.begin()
        return True

    def end(self) -> None:
        """Note a last step, where it may have been a long one."""
        self._turns.lasted(self._account, perf_counter() - self._began)
