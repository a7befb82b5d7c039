"""Lets any replica recover a Socket.IO session: what the client sends back says all that there is to know."""

import hashlib
import hmac
import secrets
from typing import NamedTuple

from services.common.cursor import Cursor, InvalidCursor
from services.gateway.filters import Interest, InvalidFilter, from_text
from services.gateway.group import OFFSET_SEPARATOR


class Offset(NamedTuple):
    """What the trailing argument of an event says: where the client is, and what it wants to see."""

    cursor: Cursor
    interest: Interest

    @classmethod
    def parse(cls, text: str) -> "Offset":
        """Read ``"<cursor>"`` or ``"<cursor>~<interest>"``; raise InvalidCursor."""
        cursor, _, interest = text.partition(OFFSET_SEPARATOR)
        try:
            return cls(Cursor.parse(cursor), from_text(interest))
        except InvalidFilter as error:
            raise InvalidCursor(str(error)) from error


class SessionIds:
    """Gives out session ids (Socket.IO's `pid`) that every replica with the same secret knows as genuine."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(secret.encode()).digest()

    def issue(self) -> str:
        """Return a new one."""
        nonce = secrets.token_urlsafe(9)
        return f"{nonce}.{self._sign(nonce)}"

    def genuine(self, pid: str) -> bool:
        """Tell whether it was given out with this secret."""
        nonce, _, signature = pid.partition(".")
        return hmac.compare_digest(signature.encode(), self._sign(nonce).encode())

    def _sign(self, nonce: str) -> str:
        return hmac.digest(self._key, nonce.encode(), "sha256").hex()[:24]
