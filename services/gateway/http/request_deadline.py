"""Bounds the time of every request, however long MongoDB takes, and reports in debug where the time went."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.front.refusals import Overload
from services.gateway.http.accept import opens_stream
from services.gateway.http.paths import COLLECTION
from services.gateway.http.problem_translation import problem_of
from services.gateway.http.problems import Problem, problem_bytes
from services.gateway.mongodb_gate import MongodbGate, Spent
from services.gateway.store_errors import OutcomeUnknown, Overloaded, StoreError
from services.gateway.wire.whole_request import is_whole_request

# From the moment that a request has been read, without the time that its body takes. Three seconds are promised, half
# a second of which it may have waited until it was read.
ANSWER_SECONDS = 2.4

_READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class _Clock:
    """The clock of one request, which ends it when its time is up."""

    __slots__ = ("_limit", "began", "spent")

    def __init__(self, limit: asyncio.Timeout) -> None:
        self.began = monotonic()
        self.spent = Spent()
        self._limit: asyncio.Timeout | None = limit

    def stop(self) -> float | None:
        """Stop the clock; return the time at which the request would have ended."""
        if self._limit is None or self._limit.expired():
            return None
        until = self._limit.when()
        self._limit.reschedule(None)
        return until

    def go_on(self, until: float | None) -> None:
        """End the request at that time."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(until)

    def end(self) -> None:
        """Note that the request has ended."""
        self._limit = None


_CLOCK = web.RequestKey("clock", _Clock)


class RequestDeadline:
    """The middleware that bounds a request's time; ``reports_timing``: and says in ``Server-Timing`` where it went."""

    def __init__(
        self, gate: MongodbGate, account: Callable[[web.BaseRequest], str], *, reports_timing: bool = False
    ) -> None:
        self._gate = gate
        self._account = account
        self._reports_timing = reports_timing

    def overload(self) -> Overload:
        """Return what is refused before it is parsed, and how."""
        answer = problem_bytes(_problem(Overloaded()))
        return Overload(self._gate.is_full, is_whole_request, answer, self._gate.note_refusal)

    @web.middleware
    async def limit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a request where too many wait, before its body is read; end it where it takes too long."""
        if not request.path.startswith("/api/") or opens_stream(request):
            return await handler(request)
        limit = asyncio.timeout(ANSWER_SECONDS)
        clock = _Clock(limit)
        try:
            if request.path.startswith(COLLECTION) and request.method != hdrs.METH_OPTIONS:
                self._gate.check(self._account(request))
            request[_CLOCK] = clock
            async with limit:
                return await handler(request)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _problem(_too_late(request, clock.spent)) from error
        except (Overloaded, OutcomeUnknown) as error:
            raise _problem(error) from error
        finally:
            clock.end()

    def add_server_timing(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Report the milliseconds until now (Server Timing, W3C), if asked for; `db` is the time from the gate on."""
        clock = request.get(_CLOCK) if self._reports_timing else None
        if clock is not None:
            parts = {"wait": clock.spent.waited, "db": clock.spent.passed, "total": monotonic() - clock.began}
            told = [f"{name};dur={seconds * 1000:.1f}" for name, seconds in parts.items() if seconds is not None]
            response.headers["Server-Timing"] = ", ".join(told)


def _too_late(request: web.Request, spent: Spent) -> StoreError:
    if request.method in _READS or spent.passed is None:
        return Overloaded("it could not be answered in time")
    return OutcomeUnknown("it could not be answered in time")


def _problem(error: StoreError) -> Problem:
    problem = problem_of(error)
    if problem is None:
        raise TypeError(f"{error!r} is not for clients")
    return problem


def spent(request: web.BaseRequest) -> Spent | None:
    """Return where to note what a request spends on MongoDB."""
    clock = request.get(_CLOCK)
    return None if clock is None else clock.spent


@asynccontextmanager
async def clock_stopped(request: web.BaseRequest) -> AsyncIterator[None]:
    """Stop the clock while we wait for the client itself, such as for its body."""
    clock = request.get(_CLOCK)
    if clock is None or (until := clock.stop()) is None:
        yield
        return
    began = asyncio.get_running_loop().time()
    try:
        yield
    finally:
        clock.go_on(until + asyncio.get_running_loop().time() - began)


def lift_deadline(request: web.BaseRequest) -> None:
    """Stop the clock for good: the answer has begun, and takes as long as its client."""
    clock = request.get(_CLOCK)
    if clock is not None:
        clock.stop()
