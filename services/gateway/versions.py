"""The versions of an order: entity tags, and the conditions that requests put on them (RFC 9110, 8.8.3 and 13)."""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\U0010ffff]*")')
_SEPARATOR = re.compile(r"[ \t]*,[ \t,]*")
_TAG_DIGITS = 32  # 128 bits


class InvalidTags(ValueError):
    """The header is neither `*` nor a list of entity tags."""


class PreconditionFailed(Exception):
    """The order is not, or no longer, in the state that the request asks for; nothing was written."""


def entity_tag(representation: bytes) -> str:
    """Return the strong tag of an order, given as the JSON that the client is shown.

    It is made from nothing else, so that all replicas give the same one, and documents of other programs have one too.
    These may be of 16 MB: processors with instructions for SHA-256 need 9 ms for so much, and twice that for BLAKE2.
    """
    return f'"{sha256(representation).hexdigest()[:_TAG_DIGITS]}"'


class Tags(NamedTuple):
    """The tags of one header: all tags, or some strong and some weak ones."""

    every: bool = False
    strong: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, values: Sequence[str]) -> "Tags | None":
        """Read a header, given as its lines; raise InvalidTags."""
        if not values:
            return None
        text = ",".join(values).strip(" \t")
        if text == "*":
            return cls(every=True)
        found: dict[bool, set[str]] = {True: set(), False: set()}
        at = _skip(text, 0)
        while at < len(text):
            match = _TAG.match(text, at)
            if match is None:
                raise InvalidTags
            found[match[1] is not None].add(match[2])
            at = _skip(text, match.end())
            if at == match.end() < len(text):
                raise InvalidTags  # two tags without a comma
        if not found[True] and not found[False]:
            raise InvalidTags
        return cls(False, frozenset(found[False]), frozenset(found[True]))


def _skip(text: str, at: int) -> int:
    """Return where the next element of a list begins; empty ones are allowed."""
    match = _SEPARATOR.match(text, at)
    return at if match is None else match.end()


class Preconditions(NamedTuple):
    """What `If-Match` and `If-None-Match` ask for; None is a header that is not there."""

    match: Tags | None = None
    none_match: Tags | None = None

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def require_match(self, current: str | None) -> None:
        """Check `If-Match` against the tag of what is there, None if that has no tag; raise PreconditionFailed.

        Weak tags match nothing: they do not say that nothing has changed.
        """
        if self.match is not None and not self.match.every and current not in self.match.strong:
            raise PreconditionFailed

    def is_known(self, current: str | None) -> bool:
        """Tell whether `If-None-Match` names the current tag: the client has it already. Here weak tags count."""
        wanted = self.none_match
        return wanted is not None and (wanted.every or current in wanted.strong or current in wanted.weak)

    def require(self, current: str | None) -> None:
        """Check both for a write; raise PreconditionFailed."""
        self.require_match(current)
        if self.is_known(current):
            raise PreconditionFailed
