"""Says whether a process should get traffic, and for its operators why not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

Check = Callable[[], Awaitable[str]]
"""Answers "ok", or in a few words what is wrong."""


class Readiness(NamedTuple):
    """Whether everything is there, and how each part stands; what is wrong may name addresses of other servers."""

    ready: bool
    checks: Mapping[str, str]

    @property
    def status(self) -> str:
        """In the word that is sent."""
        return "ready" if self.ready else "unready"

    @property
    def http_status(self) -> int:
        """As load balancers and orchestrators read it."""
        return 200 if self.ready else 503


class Checks:
    """Several checks, made at once, each with the same patience: one that hangs is one that failed."""

    def __init__(self, checks: Mapping[str, Check], *, timeout: float = 1.0) -> None:
        self._checks = dict(checks)
        self._timeout = timeout

    async def __call__(self) -> Readiness:
        """Make them all."""
        found = await asyncio.gather(*(self._answer(check) for check in self._checks.values()))
        return Readiness(all(answer == "ok" for answer in found), dict(zip(self._checks, found, strict=True)))

    async def _answer(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                return await check()
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except Exception as error:  # noqa: BLE001 - a check that breaks is an answer, and must not hide the others
            return f"the check itself failed: {type(error).__name__}"
