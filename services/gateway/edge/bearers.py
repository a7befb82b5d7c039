"""Knows the connections of each subject and of each token, so that a revocation ends them."""

from collections.abc import Callable

from services.gateway.edge.principal import Principal


class Bearer:
    """One connection, and ``end``, which tells its client why and ends it."""

    __slots__ = ("_bearers", "end", "principal")

    def __init__(self, bearers: "Bearers", principal: Principal, end: Callable[[], None]) -> None:
        self._bearers = bearers
        self.principal = principal
        self.end = end

    def renew(self, principal: Principal) -> None:
        """Live by another token from now on."""
        self._bearers.remove(self)
        self.principal = principal
        self._bearers.add(self)

    def leave(self) -> None:
        """Forget the connection; idempotent."""
        self._bearers.remove(self)


class Bearers:
    """The connections of one gateway that were opened with a token."""

    def __init__(self) -> None:
        self._by_subject: dict[str, set[Bearer]] = {}
        self._by_token: dict[str, set[Bearer]] = {}

    def add(self, bearer: Bearer) -> None:
        """Add a connection."""
        for index, key in self._places(bearer.principal):
            index.setdefault(key, set()).add(bearer)

    def remove(self, bearer: Bearer) -> None:
        """Forget one that has gone."""
        for index, key in self._places(bearer.principal):
            there = index.get(key)
            if there is not None:
                there.discard(bearer)
                if not there:
                    del index[key]

    def of(self, subject: str | None, token_id: str | None) -> list[Bearer]:
        """Return the connections of the subject, or of the token."""
        found = self._by_subject.get(subject, ()) if subject is not None else ()
        return [*found, *(self._by_token.get(token_id, ()) if token_id is not None else ())]

    def __contains__(self, bearer: Bearer) -> bool:
        return bearer in self._by_subject.get(bearer.principal.subject, ())

    def _places(self, principal: Principal) -> list[tuple[dict[str, set[Bearer]], str]]:
        places = [(self._by_subject, principal.subject)]
        if principal.token_id is not None:
            places.append((self._by_token, principal.token_id))
        if principal.session is not None:
            places.append((self._by_subject, principal.session))
        return places
