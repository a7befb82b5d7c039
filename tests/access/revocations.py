"""An operator's requests to revoke, as the tests make them."""

from typing import Any

import aiohttp

from tests.access.tokens import bearer, token
from tests.waiting import HANGS

ROUTE = "/api/admin/revocations"


def operator() -> dict[str, str]:
    return bearer(token("root", scope="orders:admin"))


async def ask(
    url: str, method: str = "POST", path: str = ROUTE, *, headers: dict[str, str] | None = None, **more: Any
) -> tuple[int, Any]:
    """Make a request as an operator, unless with other headers; return the status and the JSON of the answer."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HANGS)) as session,
        session.request(method, url + path, headers=operator() if headers is None else headers, **more) as response,
    ):
        return response.status, await response.json()


async def revoke(url: str, **what: str) -> Any:
    """Revoke as an operator; return what is answered."""
    status, answer = await ask(url, json=what)
    assert status == 201, answer
    return answer
