"""Lets any replica recover a Socket.IO session: the client sends back all of its state."""

import hashlib
import hmac
import secrets
from typing import NamedTuple

from services.common.cursor import LONGEST_CURSOR, Cursor, InvalidCursor
from services.common.error_text import error_text
from services.common.random_text import random_text
from services.gateway.filters import MAX_TEXT, Interest, InvalidFilter, from_text
from services.gateway.group import OFFSET_SEPARATOR
from services.gateway.snapshot_chunk import INSIDE

_NONCE_BYTES = 9
_PID_LENGTH = 37  # of the nonce in base64, a dot, and 24 digits of the signature
_LONGEST_OFFSET = LONGEST_CURSOR + len(OFFSET_SEPARATOR) + MAX_TEXT


class Offset(NamedTuple):
    """The trailing argument of an event: where the client is (None: inside a snapshot), and what it wants to see."""

    cursor: Cursor | None
    interest: Interest

    @classmethod
    def parse(cls, text: str) -> "Offset":
        """Read ``"<cursor>"`` or ``"<cursor>~<interest>"``; raise InvalidCursor.

        Text longer than any issued offset is refused unparsed: clients may send it with every attempt to connect.
        """
        if len(text) > _LONGEST_OFFSET:
            raise InvalidCursor("longer than any offset")
        cursor, _, interest = text.partition(OFFSET_SEPARATOR)
        try:
            return cls(None if cursor == INSIDE else Cursor.parse(cursor), from_text(interest))
        except InvalidFilter as error:
            raise InvalidCursor(error_text(error)) from error


class SessionIds:
    """Issues session ids (Socket.IO's `pid`) that every replica with the same secret can verify.

    An id is good for the subject only that it was issued to, if any.

    While no secret is known, ids are signed with a secret of this process: its own clients recover here, clients of
    other replicas must resync.
    """

    def __init__(self, *known: str) -> None:
        self._own = secrets.token_bytes(32)
        self.use(*known)

    def use(self, *known: str) -> None:
        """Sign with the first secret from now on; ids signed with the others, or with the process's own, stay valid."""
        self._keys = [*(hashlib.sha256(secret.encode()).digest() for secret in known), self._own]

    def issue(self, subject: str = "") -> str:
        """Return a new id."""
        nonce = random_text(_NONCE_BYTES)
        return f"{nonce}.{_sign(self._keys[0], nonce, subject)}"

    def is_genuine(self, pid: str, subject: str = "") -> bool:
        """Tell whether the id was issued to the subject, and is signed with one of the secrets."""
        if len(pid) != _PID_LENGTH:
            return False
        nonce, _, signature = pid.partition(".")
        return any(
            hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), _sign(key, nonce, subject).encode())
            for key in self._keys
        )


def _sign(key: bytes, nonce: str, subject: str) -> str:
    # No id that a client sends can make one text look like another: subjects are printable, so none has a line break.
    signed = f"{nonce}\n{subject}" if subject else nonce
    return hmac.digest(key, signed.encode("utf-8", "surrogatepass"), "sha256").hex()[:24]
