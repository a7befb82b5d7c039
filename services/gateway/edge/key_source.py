"""The keys that verify tokens: fixed ones of the settings, or those that an issuer publishes and changes."""

from collections.abc import Sequence
from typing import Protocol

from services.gateway.edge.published import REFRESH_SECONDS, RETRY_SECONDS, PublishedDocument
from services.gateway.edge.tokens import VerifyingKey, keys_of_jwks


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

    def __init__(
        self,
        url: str,
        *,
        name: str = "keys of tokens",
        refresh: float = REFRESH_SECONDS,
        retry: float = RETRY_SECONDS,
    ) -> None:
        self._document = PublishedDocument(url, keys_of_jwks, name, refresh=refresh, retry=retry)
        self.url = url

    @property
    def keys(self) -> Sequence[VerifyingKey]:
        """The keys that are known now."""
        return self._document.known or ()

    async def follow(self) -> None:
        """Read them regularly, for ever."""
        await self._document.follow()

    async def current(self) -> Sequence[VerifyingKey]:
        """Return the keys as they were at most a refresh ago, or else the known ones."""
        return await self._document.current() or ()

    async def renew(self) -> bool:
        """Ask again, unless that was just done; return whether there are any new ones."""
        known = {key.kid for key in self.keys}
        return await self._document.renew() and {key.kid for key in self.keys} != known
