"""Fetches and caches a document that an issuer publishes."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

import aiohttp
import structlog

from services.common.error_text import error_text

REFRESH_SECONDS = 300.0  # what the issuer has withdrawn is used no longer than this
RETRY_SECONDS = 5.0  # between two requests, whatever clients make us ask for
PATIENCE_SECONDS = 4.0
_LARGEST = 262_144

Document = TypeVar("Document")

log = structlog.get_logger("gateway")


class UnusableAnswer(ValueError):
    """The answer is of no use; the message contains nothing of it."""


class PublishedDocument(Generic[Document]):
    """A document at an address. While it cannot be read, the known one stays.

    ``parse`` raises a ValueError for a document of no use; its message is logged.
    """

    def __init__(
        self,
        url: str,
        parse: Callable[[bytes], Document],
        name: str,
        *,
        refresh: float = REFRESH_SECONDS,
        retry: float = RETRY_SECONDS,
    ) -> None:
        self._url = url
        self._parse = parse
        self._name = name  # for the log
        self._refresh = refresh
        self._retry = retry
        self._asked_at = float("-inf")
        self._read_at = float("-inf")
        self._asking: asyncio.Task[bool] | None = None
        self._failing = False
        self.known: Document | None = None

    async def follow(self) -> None:
        """Read it regularly, for ever."""
        while True:
            await self._ask_once()
            await asyncio.sleep(self._retry if self._failing else self._refresh)

    async def current(self) -> Document | None:
        """Return it as it was at most a refresh ago, or else as it was last read, or None."""
        if monotonic() - self._read_at > self._refresh:
            await self.renew()
        return self.known

    async def renew(self) -> bool:
        """Ask again, unless that was just done; all who wait at the same time share one request.

        Return whether it was read.
        """
        if self._asking is None and monotonic() - self._asked_at < self._retry:
            return False
        return await self._ask_once()

    async def _ask_once(self) -> bool:
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)  # a client that leaves must not cancel the others' request

    async def _ask(self) -> bool:
        self._asked_at = monotonic()
        try:
            self.known = self._parse(await self._read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if not self._failing:
                self._failing = True
                log.warning(
                    "Cannot fetch the issuer's document, using the cached one",
                    what=self._name,
                    error=error_text(error)[:300],
                )
            return False
        finally:
            self._asking = None
        self._read_at = monotonic()
        if self._failing:
            self._failing = False
            log.info("Fetched the issuer's document again", what=self._name)
        return True

    async def _read(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        # A session for each: connections kept between two requests minutes apart would be dead.
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise UnusableAnswer(f"the answer is {response.status}")
            return await bounded_body(response)


async def bounded_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body; raise UnusableAnswer where it has too many bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST:
            raise UnusableAnswer(f"it has more than {_LARGEST} bytes")
    return bytes(body)
