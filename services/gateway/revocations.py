"""Knows which subjects and tokens are revoked, and answers whether one is: no I/O, no clock but the caller's."""

from collections.abc import Collection, Iterable
from math import inf
from typing import NamedTuple

MOST_REVOCATIONS = 50_000  # remembered at once, by every gateway: some 30 MB; beyond, none is taken


class Revocation(NamedTuple):
    """What is refused, of a subject or of a token: every token, or those issued before a time.

    ``until`` is how long it is remembered. All times are in seconds since 1970.
    """

    id: str
    revoked_at: float
    until: float
    subject: str | None = None
    token_id: str | None = None
    issued_before: float | None = None


class RevocationsUnavailable(Exception):
    """MongoDB does not answer: what is revoked cannot be read or changed now."""


class TooManyRevocations(Exception):
    """So many are remembered that no further one is taken."""


class Revocations:
    """The revocations that are known; nobody is to be let in before they are ``known`` at all."""

    def __init__(self) -> None:
        self.known = False
        self._all: dict[str, Revocation] = {}
        self._tokens: dict[str, set[str]] = {}
        self._subjects: dict[str, dict[str, float]] = {}  # by id, the time before which a token must have been issued
        self._limits: dict[str, float] = {}  # the latest of these, for each subject: one look-up for each request

    def __len__(self) -> int:
        return len(self._all)

    def refuses(self, subject: str, token_id: str | None, issued_at: float | None, session: str | None = None) -> bool:
        """Tell whether a token of this subject, with this id and issued then, is revoked.

        One that does not say when it was issued counts as issued before any time. A ``session`` is one more subject.
        """
        if token_id is not None and token_id in self._tokens:
            return True
        if session is not None and self.refuses(session, None, issued_at):
            return True
        limit = self._limits.get(subject)
        return limit is not None and (limit == inf or issued_at is None or issued_at < limit)

    def ids(self) -> set[str]:
        """Return the ids of all."""
        return set(self._all)

    def replace(self, before: Iterable[str], everything: Collection[Revocation]) -> list[Revocation]:
        """Know these instead of those ``before``; return those that are new."""
        for gone in set(before) - {each.id for each in everything}:
            self.lift(gone)
        self.known = True
        return self.add(everything)

    def add(self, revocations: Iterable[Revocation]) -> list[Revocation]:
        """Know these, too; return those that are new."""
        new = [each for each in revocations if each.id not in self._all]
        for each in new:
            self._all[each.id] = each
            if each.token_id is not None:
                self._tokens.setdefault(each.token_id, set()).add(each.id)
            if each.subject is not None:
                limits = self._subjects.setdefault(each.subject, {})
                limits[each.id] = inf if each.issued_before is None else each.issued_before
                self._limits[each.subject] = max(limits.values())
        return new

    def lift(self, id: str) -> bool:
        """Forget one; tell whether it was known."""
        lifted = self._all.pop(id, None)
        if lifted is None:
            return False
        if lifted.token_id is not None:
            of_token = self._tokens[lifted.token_id]
            of_token.discard(id)
            if not of_token:
                del self._tokens[lifted.token_id]
        if lifted.subject is not None:
            limits = self._subjects[lifted.subject]
            del limits[id]
            if limits:
                self._limits[lifted.subject] = max(limits.values())
            else:
                del self._subjects[lifted.subject], self._limits[lifted.subject]
        return True

    def forget_old(self, now: float) -> int:
        """Forget those that need not be remembered any more; return how many."""
        old = [each.id for each in self._all.values() if each.until <= now]
        for one in old:
            self.lift(one)
        return len(old)
