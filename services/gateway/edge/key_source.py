"""The keys that verify tokens: fixed ones of the settings, or those that an issuer publishes and changes."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

import aiohttp
import structlog

from services.common.error_text import error_text
from services.gateway.edge.tokens import UnusableKey, VerifyingKey, keys_of_jwks

REFRESH_SECONDS = 300.0  # a key that the issuer has withdrawn is accepted no longer than this
RETRY_SECONDS = 5.0  # between two requests, whatever key ids clients make up
_PATIENCE = 4.0
_LARGEST = 262_144

log = structlog.get_logger("gateway")


class KeySource(Protocol):
    """Where the keys come from."""

    @property
    def keys(self) -> Sequence[VerifyingKey]:
        """The keys that are known now; none while the issuer has not been reached yet."""

    async def renew(self) -> bool:
        """Ask for keys again, for a token that names an unknown one; return whether there are any new ones."""


class FixedKeys:
    """The keys of the settings."""

    def __init__(self, keys: Sequence[VerifyingKey]) -> None:
        self.keys = keys

    async def renew(self) -> bool:
        """Return that there are no others."""
        return False


class PublishedKeys:
    """The keys in an issuer's JWKS. While it cannot be read, the known ones stay."""

    def __init__(self, url: str, *, refresh: float = REFRESH_SECONDS, retry: float = RETRY_SECONDS) -> None:
        self._url = url
        self._refresh = refresh
        self._retry = retry
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[bool] | None = None
        self._failing = False
        self.keys: Sequence[VerifyingKey] = ()

    async def follow(self) -> None:
        """Read them regularly, for ever."""
        while True:
            await self._ask_once()
            await asyncio.sleep(self._retry if self._failing else self._refresh)

    async def renew(self) -> bool:
        """Ask again, unless that was just done; all who wait at the same time share one request."""
        if self._asking is None and monotonic() - self._asked_at < self._retry:
            return False
        return await self._ask_once()

    async def _ask_once(self) -> bool:
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)  # a client that leaves must not cancel the others' request

    async def _ask(self) -> bool:
        self._asked_at = monotonic()
        known = self.keys
        try:
            self.keys = keys_of_jwks(await self._read())
        except (aiohttp.ClientError, TimeoutError, OSError, UnusableKey) as error:
            if not self._failing:
                self._failing = True
                log.warning("The keys of tokens cannot be read; keeping the known ones", error=error_text(error)[:300])
            return False
        finally:
            self._asking = None
        if self._failing:
            self._failing = False
            log.info("The keys of tokens can be read again")
        return {key.kid for key in self.keys} != {key.kid for key in known}

    async def _read(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        # A session for each: connections kept between two requests minutes apart would be dead.
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self._url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise UnusableKey(f"the answer is {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _LARGEST:
                    raise UnusableKey(f"it has more than {_LARGEST} bytes")
            return bytes(body)
