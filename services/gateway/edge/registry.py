"""Counts the open connections of all transports, in total and per address, and refuses new ones over the limits."""

from collections import Counter

from services.gateway.edge.limits import Incident
from services.gateway.edge.peer import account_of


class NotAdmitted(Exception):
    """The connection is refused; ``incident`` says why."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(incident.value)
        self.incident = incident


class Admission:
    """The connection slots of one gateway."""

    def __init__(self, limit: int, limit_per_address: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._open = 0
        self._per_address: Counter[str] = Counter()
        self._stopping = False

    def __len__(self) -> int:
        return self._open

    def stop(self) -> None:
        """Refuse all new connections."""
        self._stopping = True

    def enter(self, address: str) -> None:
        """Take a slot, or raise NotAdmitted."""
        if self._stopping:
            raise NotAdmitted(Incident.STOPPING)
        if self._open >= self._limit:
            raise NotAdmitted(Incident.TOO_MANY_CONNECTIONS)
        account = account_of(address)
        if self._per_address[account] >= self._limit_per_address:
            raise NotAdmitted(Incident.TOO_MANY_FROM_ADDRESS)
        self._per_address[account] += 1
        self._open += 1

    def leave(self, address: str) -> None:
        """Return a slot."""
        account = account_of(address)
        self._open -= 1
        self._per_address[account] -= 1
        if self._per_address[account] <= 0:
            del self._per_address[account]
