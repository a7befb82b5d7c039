"""Tells orchestrators and load balancers whether this process lives and whether it should get traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from services.common.documents import Json, dumps

Check = Callable[[], Awaitable[str]]
"""Answers "ok", or in a few words what is wrong."""

_UNCACHED = {"Cache-Control": "no-store"}


class Health:
    """`/healthz`: the process lives. `/readyz`: everything it needs is there.

    Every check gets the same second, all at once: a check that hangs is a check that failed.
    """

    def __init__(self, checks: Mapping[str, Check], *, timeout: float = 1.0) -> None:
        self._checks = dict(checks)
        self._timeout = timeout

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [web.get("/healthz", self.healthz), web.get("/readyz", self.readyz)]

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer 200: whoever can answer lives."""
        return web.Response(body=b'{"status":"ok"}', content_type="application/json", headers=_UNCACHED)

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when every check says "ok", else 503; the body names each."""
        found = await asyncio.gather(*(self._answer(check) for check in self._checks.values()))
        ready = all(answer == "ok" for answer in found)
        checks: dict[str, Json] = dict(zip(self._checks, found, strict=True))
        body: Json = {"status": "ready" if ready else "unready", "checks": checks}
        status = 200 if ready else 503
        return web.Response(status=status, body=dumps(body), content_type="application/json", headers=_UNCACHED)

    async def _answer(self, check: Check) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                return await check()
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except Exception as error:  # noqa: BLE001 - a check that breaks is an answer, and must not hide the others
            return f"the check itself failed: {type(error).__name__}"
