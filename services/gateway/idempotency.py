"""The keys by which clients mark a write that they may repeat (draft-ietf-httpapi-idempotency-key-header)."""

import json
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

LONGEST_KEY = 255

# A string of Structured Fields (RFC 8941), or the bare token that many clients send.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"', re.ASCII)
_BARE = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~:/=@-]+", re.ASCII)
_ESCAPE = re.compile(r'\\(["\\])')
_DIGEST_BYTES = 32


class InvalidIdempotencyKey(ValueError):
    """The header names no key; the message says what it must be."""


class Claim(NamedTuple):
    """A request with a key: which key of which subject, which request, and what its sender may see."""

    key: str
    request: str
    view: str

    @classmethod
    def of(cls, subject: str, key: str, request: Sequence[object], view: Sequence[str]) -> "Claim":
        """Make one; ``request`` is all that tells it from another, as JSON values."""
        # Sorted: a client that is started again may write the members of an object in another order.
        return cls(_digest([subject, key]), _digest(request), _digest(view))


def parse_key(lines: Sequence[str]) -> str | None:
    """Return the key that the header names, given as its lines; raise InvalidIdempotencyKey."""
    if not lines:
        return None
    if len(lines) > 1:
        raise InvalidIdempotencyKey("is given more than once")
    text = lines[0].strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    key = _ESCAPE.sub(r"\1", quoted[1]) if quoted else text
    if not key or (quoted is None and not _BARE.fullmatch(key)):
        raise InvalidIdempotencyKey('must be a string in double quotes, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"')
    if len(key) > LONGEST_KEY:
        raise InvalidIdempotencyKey(f"must have at most {LONGEST_KEY} characters")
    return key


def _digest(value: Sequence[object]) -> str:
    return blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=_DIGEST_BYTES).hexdigest()
