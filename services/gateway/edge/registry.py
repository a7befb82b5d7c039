"""Registers the clients of all transports: admits them within limits, and closes them when the gateway stops."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable

import structlog

from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.log_throttle import LogThrottle
from services.gateway.edge.peer import account_of

RETRY_SECONDS = 5  # where nobody knows when there will be room

log = structlog.get_logger("clients")


class NotAdmitted(Exception):
    """The connection is refused; ``incident`` says why, and it may be tried again after so many seconds."""

    def __init__(self, incident: IncidentKind, retry_after: int = RETRY_SECONDS) -> None:
        super().__init__(incident.value)
        self.incident = incident
        self.retry_after = retry_after


class Registry:
    """The clients of one gateway: websockets, polling sessions and event streams.

    ``is_full`` from the limit on until a twentieth of the room is free again: at the limit each client that leaves
    would change it, and load balancers need several checks to notice.

    Subjects are counted, too, once it is known whose a client is.
    """

    def __init__(self, limit: int, limit_per_address: int, limit_per_subject: int = sys.maxsize) -> None:
        self.limit = limit
        self.limit_per_address = limit_per_address
        self.limit_per_subject = limit_per_subject
        self._admitted = 0
        self._per_address: Counter[str] = Counter()
        self._per_subject: Counter[str] = Counter()
        self._clients: dict[Callable[[], None], None] = {}  # in the order in which they came
        self._stopping = False
        self._room_from = limit - max(1, limit // 20)
        self.is_full = False
        self._is_refusing = False
        self._throttle = LogThrottle()

    def __len__(self) -> int:
        """Count the admitted clients, those included that are still being served their first response."""
        return self._admitted

    def stop(self) -> None:
        """Refuse all new clients."""
        self._stopping = True

    def enter(self, address: str, subject: str = "") -> None:
        """Take a slot, or raise NotAdmitted."""
        if self._stopping:
            raise NotAdmitted(IncidentKind.STOPPING)
        if self._admitted >= self.limit:
            if not self._is_refusing:
                self._is_refusing = True
                log.warning("This gateway is full, clients are refused", clients=self._admitted, address=address)
            raise NotAdmitted(IncidentKind.TOO_MANY_CONNECTIONS)
        account = account_of(address)
        if self._per_address[account] >= self.limit_per_address:
            unlogged = self._throttle.passes()
            if unlogged is not None:
                clients = self._per_address[account]
                log.warning(
                    "An address has too many clients, refusing more",
                    address=account,
                    clients=clients,
                    unlogged_before=unlogged,
                )
            raise NotAdmitted(IncidentKind.TOO_MANY_FROM_ADDRESS)
        self.claim(subject)
        self._per_address[account] += 1
        self._admitted += 1
        if self._admitted >= self.limit:
            self.is_full = True

    def claim(self, subject: str) -> None:
        """Count a client that has a slot among those of its subject, if it has one; or raise NotAdmitted."""
        if not subject:
            return
        if self._per_subject[subject] >= self.limit_per_subject:
            raise NotAdmitted(IncidentKind.TOO_MANY_OF_SUBJECT)
        self._per_subject[subject] += 1

    def release(self, subject: str) -> None:
        """Undo `claim`."""
        if subject:
            self._per_subject[subject] -= 1
            if self._per_subject[subject] <= 0:
                del self._per_subject[subject]

    def leave(self, address: str, subject: str = "") -> None:
        """Return a slot."""
        self.release(subject)
        account = account_of(address)
        self._admitted -= 1
        self._per_address[account] -= 1
        if self._per_address[account] <= 0:
            del self._per_address[account]
        if self.is_full and self._admitted <= self._room_from:
            self.is_full = False
            if self._is_refusing:
                self._is_refusing = False
                log.info("There is room for clients again", clients=self._admitted)

    def add(self, close: Callable[[], None]) -> None:
        """Have a client closed by ``close``, which identifies it too, when the gateway drains."""
        self._clients[close] = None

    def remove(self, close: Callable[[], None]) -> None:
        """Forget a client that has gone."""
        self._clients.pop(close, None)

    async def drain(self, spread: float) -> None:
        """Refuse new clients and close the others one after the other, over ``spread`` seconds.

        They are not told to stay away, so they reconnect; spread out, they do not all do so at once.
        """
        self.stop()
        clients = list(self._clients)
        for close in clients:
            if close in self._clients:  # else its client has left meanwhile
                close()
            await asyncio.sleep(spread / len(clients))
