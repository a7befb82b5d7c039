"""The parts of a request that the checks need, whichever parser has read it."""

from collections.abc import Mapping
from typing import Protocol

from multidict import MultiMapping


class Request(Protocol):
    """A request of aiohttp's, or a `Handshake`."""

    @property
    def method(self) -> str:
        """In capitals."""

    @property
    def version(self) -> tuple[int, int]:
        """Of HTTP."""

    @property
    def query(self) -> Mapping[str, str]:
        """The decoded parameters."""

    @property
    def headers(self) -> MultiMapping[str]:
        """Looked up by case-insensitive name."""

    @property
    def remote(self) -> str | None:
        """The address of the peer of the connection."""
