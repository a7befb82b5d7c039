"""Encrypts and signs what browsers keep for us, with the secret that all replicas share."""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class NoSecret(Exception):
    """The secret is not known yet: MongoDB has not been reached since the start."""


class Seal:
    """Seals data for one purpose; what was sealed for another, or with a forgotten secret, does not open.

    Sealed text is Fernet's, so it also has the time of its making, without the padding, which a cookie would have to
    quote.
    """

    def __init__(self, purpose: str, secrets: Sequence[str] = ()) -> None:
        self._purpose = purpose.encode()
        self._keys: MultiFernet | None = None
        if secrets:
            self.use(*secrets)

    def use(self, *secrets: str) -> None:
        """Seal with the first secret from now on; what was sealed with the others still opens."""
        self._keys = MultiFernet([Fernet(_key(secret, self._purpose)) for secret in secrets]) if secrets else None

    def close(self, data: bytes) -> str:
        """Return the sealed text, URL-safe; raise NoSecret."""
        if self._keys is None:
            raise NoSecret
        return self._keys.encrypt(data).decode().rstrip("=")

    def open(self, text: str, seconds: int) -> bytes | None:
        """Return what was sealed at most so many seconds ago, or None; raise NoSecret."""
        if self._keys is None:
            raise NoSecret
        try:
            return self._keys.decrypt(text.encode() + b"=" * (-len(text) % 4), ttl=seconds)
        except (InvalidToken, UnicodeEncodeError):
            return None


def _key(secret: str, purpose: bytes) -> bytes:
    derived = HKDF(SHA256(), 32, salt=None, info=b"realtime-orders " + purpose).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
