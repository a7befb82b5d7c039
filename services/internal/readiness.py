"""Reports what a process is ready for, and tells operators why not."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

Check = Callable[[], str]
"""Returns "ok", or the problem in a few words: what is known, without waiting for anything."""


class Readiness(NamedTuple):
    """Whether the process works, what it is ready for, and the state of each part.

    ``kinds`` says for each kind of request whether the process should get it. A problem in ``checks`` may contain
    addresses of other servers.
    """

    ready: bool
    checks: Mapping[str, str]
    kinds: Mapping[str, bool] = {}


def word(ready: bool) -> str:
    """Return the word in the response."""
    return "ready" if ready else "unready"


def http_status(ready: bool) -> int:
    """Return the status for load balancers and orchestrators."""
    return 200 if ready else 503


class Checks:
    """Several checks, and which of them each kind of request needs.

    They report what traffic and background checks have found out: a health check that asked a database would fail when
    this process is busy, which is when it must not lose its place.

    A problem of one of ``harmless`` does not mean that the process does not work; it is named only while there is one.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        kinds: Mapping[str, Collection[str]] | None = None,
        harmless: Collection[str] = (),
    ) -> None:
        self._checks = dict(checks)
        self._kinds = dict(kinds or {})
        self._harmless = harmless

    def __call__(self) -> Readiness:
        """Run all checks."""
        found = {name: check() for name, check in self._checks.items()}
        wrong = {name for name, answer in found.items() if answer != "ok"}
        kinds = {kind: wrong.isdisjoint(needed) for kind, needed in self._kinds.items()}
        named = {name: answer for name, answer in found.items() if answer != "ok" or name not in self._harmless}
        return Readiness(wrong <= {*self._harmless}, named, kinds)
