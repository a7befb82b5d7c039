"""Refuses requests before they are parsed, while those of their account wait too long: that costs a tenth as much."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from services.common.fair_turns import FairTurns, call_soon, shared_account

# Refuse an account's requests once one of them has waited so long for its turn, in this thread's CPU time, so that a
# busy machine refuses nobody. Later ones are refused at once, and one that has waited longer when its turn comes. A
# thousand pages that load at once take 0.3 s, and twice that where other programs of a busy machine have the caches.
WAIT_SECONDS = 0.8
_IN_ONE_TURN = 16  # which then lasts about as long as that of a request
_AT_ONCE = 64  # in one pass of the loop, without waiting for a turn


class Overload(NamedTuple):
    """What a service makes of too many requests.

    ``is_full`` tells that those of an account wait too long for what is behind, ``may_refuse`` whether bytes are a
    request that may be refused; then ``answer`` is sent and ``refused`` called.
    """

    is_full: Callable[[str], bool]
    may_refuse: Callable[[bytes], bool]
    answer: bytes
    refused: Callable[[], None]


class Refusable(Protocol):
    """A connection to which a request has come."""

    def hold(self, data: bytes) -> None:
        """Keep what has come, and read nothing more meanwhile."""

    def refuse(self, answer: bytes) -> None:
        """Answer the request without parsing it, and read on."""


class Refusals:
    """The requests that are to be refused. They have turns of their own, so that nobody waits for more than a few."""

    def __init__(self, turns: FairTurns, overload: Overload | None) -> None:
        self._turns = turns
        self._overload = overload
        self._waiting: dict[str, deque[Refusable]] = {}
        self._refused = 0  # at once, in this pass of the loop

    def is_due(self, account: str, data: bytes) -> bool:
        """Tell whether a request that has just come is to be refused."""
        overload = self._overload
        return (
            overload is not None
            and (self._turns.waits(account) > WAIT_SECONDS or overload.is_full(account))
            and overload.may_refuse(data)
        )

    def is_late(self, account: str, waited: float, data: bytes) -> bool:
        """Tell whether a request that has waited so long for its turn is to be refused."""
        overload = self._overload
        return (
            overload is not None and (waited > WAIT_SECONDS or overload.is_full(account)) and overload.may_refuse(data)
        )

    def refuse(self, account: str, connection: Refusable, data: bytes) -> None:
        """Refuse a request at once, or let it be held until its turn where this pass of the loop has refused enough.

        To wait for a turn costs as much as the refusal: reading stops for so long, and each is a call of the kernel.
        """
        if self._refused >= _AT_ONCE:
            connection.hold(data)
            self._add(account, connection)
            return
        if not self._refused:
            call_soon(self._next_pass)
        self._refused += 1
        self.now(connection)

    def _next_pass(self) -> None:
        self._refused = 0

    def _add(self, account: str, connection: Refusable) -> None:
        waiting = self._waiting.get(account)
        if waiting is None:
            waiting = self._waiting[account] = deque()
            self._arrange(account)
        waiting.append(connection)

    def now(self, connection: Refusable) -> None:
        """Refuse a request whose turn it is."""
        if self._overload is not None:
            connection.refuse(self._overload.answer)
            self._overload.refused()

    def _arrange(self, account: str) -> None:
        self._turns.add(shared_account(f"refusing {account}"), lambda: self._refuse_some(account))

    def _refuse_some(self, account: str) -> None:
        waiting = self._waiting[account]
        for _ in range(min(_IN_ONE_TURN, len(waiting))):
            self.now(waiting.popleft())
        if waiting:
            self._arrange(account)
        else:
            del self._waiting[account]
