"""Reports whether a process should get traffic, and tells operators why not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

Check = Callable[[], Awaitable[str]]
"""Returns "ok", or the problem in a few words."""


class Readiness(NamedTuple):
    """Whether everything works, and the state of each part; a problem may contain addresses of other servers."""

    ready: bool
    checks: Mapping[str, str]

    @property
    def status(self) -> str:
        """The word in the response."""
        return "ready" if self.ready else "unready"

    @property
    def http_status(self) -> int:
        """The status for load balancers and orchestrators."""
        return 200 if self.ready else 503


class Checks:
    """Several concurrent checks with the same timeout; a check that hangs has failed."""

    def __init__(self, checks: Mapping[str, Check], *, timeout: float = 1.0) -> None:
        self._checks = dict(checks)
        self._timeout = timeout

    async def __call__(self) -> Readiness:
        """Run all checks."""
        found = await asyncio.gather(*(self._answer(check) for check in self._checks.values()))
        return Readiness(all(answer == "ok" for answer in found), dict(zip(self._checks, found, strict=True)))

    async def _answer(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                return await check()
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except Exception as error:  # noqa: BLE001 - a check that breaks is a result, and must not hide the others
            return f"the check itself failed: {type(error).__name__}"
