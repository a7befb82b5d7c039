"""The mark at which the next page of a list begins: the id of the last order shown."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Self
from urllib.parse import quote

from services.common.ids import canonical

MAX_SKIPPED = 10_000
# Bytes of an id in a URL. The mark is sent in the `Link` header, and proxies allow 4 KiB for all response headers.
LONGEST = 2048

_SKIP = re.compile(r"~~([0-9]{1,5})\.(.*)", re.ASCII | re.DOTALL)  # no id begins like this


class InvalidMark(ValueError):
    """The text is not a mark that a list has issued."""


class PageMark(NamedTuple):
    """Where a page begins: ``skip`` orders after the first one below an id, or after the first of all.

    An id that is too long does not fit into a header. The page after such an order is marked by the last id before it
    that does fit, and the number of orders since then.
    """

    below: str | None
    skip: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mark for its ``str``; raise InvalidMark or InvalidId. Every id is a mark, too."""
        skipping = _SKIP.fullmatch(text)
        if skipping is None:
            return cls(canonical(text))
        skip = int(skipping[1])
        if not 0 < skip <= MAX_SKIPPED:
            raise InvalidMark("not a mark of a page")
        return cls(canonical(skipping[2]) if skipping[2] else None, skip)

    @classmethod
    def following(cls, ids: Sequence[str], before: Self | None) -> Self | None:
        """Return the mark of the page that follows these ids, whose own page began at the mark ``before``.

        None where there is no such mark: after ten thousand orders whose ids do not fit into a header.
        """
        for skip, shown in enumerate(reversed(ids)):
            if _fits(shown):
                return cls(shown, skip)
        skip = len(ids) + (before.skip if before is not None else 0)
        return cls(before.below if before is not None else None, skip) if skip <= MAX_SKIPPED else None

    def __str__(self) -> str:
        return f"~~{self.skip}.{self.below or ''}" if self.skip else self.below or ""


def _fits(id: str) -> bool:
    return len(id) <= LONGEST and len(quote(id, safe="")) <= LONGEST  # len first: an id may have megabytes
