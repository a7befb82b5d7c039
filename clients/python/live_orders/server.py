"""Speaks HTTP to the gateway: addresses, tokens and answers."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from live_orders.errors import AccessEnded, Refused

Token = str | Callable[[], str | Awaitable[str]] | None
"""A token, or a function that gives one and is called again when that has expired."""

SILENCE_SECONDS = 40.0  # the server sends a heartbeat every 15 seconds
ANSWER_SECONDS = 15.0


class Answer(NamedTuple):
    """The answer to a request; ``body`` is None where it is no JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Unavailable(Exception):
    """The server cannot be reached, or cannot answer now; ``after`` is when to try again, in seconds."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class Server:
    """The gateway at a URL, with our token."""

    def __init__(self, url: str, session: aiohttp.ClientSession, token: Token = None) -> None:
        self.url = url.rstrip("/")
        self._session = session
        self._token = token
        self._current: str | None = None

    @property
    def can_renew(self) -> bool:
        """Whether there may be another token when this one is refused."""
        return callable(self._token)

    @property
    def has_token(self) -> bool:
        """Whether there is one that has been used."""
        return self._current is not None

    async def token(self) -> str | None:
        """Return the token to be sent, or None where there is none; raise Unavailable where the function fails."""
        if self._current is None:
            self._current = await _made(self._token) if callable(self._token) else self._token
        return self._current

    async def renew(self) -> None:
        """Forget the token: the next request asks for another."""
        self._current = None

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Make one request; raise Unavailable where there is no answer, and AccessEnded where we are not let in."""
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._respond(method, path, headers or {}, json=body) as response,
            ):
                return Answer(response.status, response.headers, await _json(response))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(str(error) or type(error).__name__) from error

    @asynccontextmanager
    async def stream(
        self, path: str, query: list[tuple[str, str]], headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a stream of events; raise Unavailable, AccessEnded or Refused."""
        silence = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_SECONDS, sock_read=SILENCE_SECONDS)
        asked = {"Accept": "text/event-stream", **headers}
        try:
            async with self._respond("GET", path, asked, params=query, timeout=silence) as response:
                if response.status != 200:
                    raise_for(Answer(response.status, response.headers, await _json(response)))
                yield response.content
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(str(error) or type(error).__name__) from error

    @asynccontextmanager
    async def _respond(
        self, method: str, path: str, headers: Mapping[str, str], **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, once more with another token where the first one is refused."""
        for _ in range(2):
            had = self._current is not None
            async with self._session.request(
                method, self.url + path, headers={**headers, **await self._authorization()}, **options
            ) as response:
                # A write that is not allowed is refused, and the copy goes on; who may not read gets nothing more.
                if not (response.status == 401 or (response.status == 403 and method == "GET")):
                    yield response
                    return
                if not (had and self.can_renew):
                    raise AccessEnded(_reason(await _json(response), response.status))
                self._current = None

    async def _authorization(self) -> dict[str, str]:
        token = await self.token()
        return {} if token is None else {"Authorization": f"Bearer {token}"}


async def _made(token: Callable[[], str | Awaitable[str]]) -> str:
    try:
        given = token()
        return await given if inspect.isawaitable(given) else given
    except Exception as error:  # what gives tokens may be away as well: it is asked again
        raise Unavailable(f"there is no token: {error}") from error


def raise_for(answer: Answer) -> None:
    """Raise what an answer means that is no success: Unavailable where it makes sense to ask again, else Refused."""
    problem = answer.body if isinstance(answer.body, dict) else {}
    if answer.status in {429, 502, 503, 504}:
        raise Unavailable(str(problem.get("detail") or f"HTTP {answer.status}"), _seconds(answer.headers))
    raise Refused(answer.status, problem)


def _seconds(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return min(float(text), 60.0) if text.isdecimal() else 0.0


def _reason(body: Any, status: int) -> str:
    problem = body if isinstance(body, dict) else {}
    return str(problem.get("reason") or problem.get("detail") or f"HTTP {status}")


async def _json(response: aiohttp.ClientResponse) -> Any:
    if response.content_type.endswith("json"):
        return await response.json(content_type=None)
    await response.read()
    return None
