"""The mark that says where the next page of a list goes on: below the id of the last order shown, as URL-safe text."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import bson
from bson import DBRef, ObjectId
from bson.errors import BSONError, InvalidDocument

from services.common.documents import CODEC

MOST_SKIPPED = 10_000

_HEX = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_FOREIGN = "~"
_SKIP = re.compile(r"(.*)\.([0-9]{1,5})", re.ASCII | re.DOTALL)
_LONGEST = 1536  # bytes of an id as BSON; in an address it takes a third more
_DEEPEST = 8  # an id of more levels is never asked for: a request may not be a way to send MongoDB what it cannot nest


class InvalidMark(ValueError):
    """The text is no mark that a list gave out."""


class Below(NamedTuple):
    """An ``_id`` of whatever BSON type. It comes from outside: compare with it as a literal only."""

    id: Any


class PageMark(NamedTuple):
    """Where a page begins: ``skip`` orders further on than the first below an id, or than the first of all.

    An id that is too long or too deep for an address cannot be named in it. The page behind such an order is named by
    the last id before it that can be, and the number of orders since then.
    """

    below: Below | None
    skip: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mark that ``str`` was made of; raise InvalidMark."""
        skipping = _SKIP.fullmatch(text)
        name, skip = (skipping[1], int(skipping[2])) if skipping else (text, 0)
        if skip > MOST_SKIPPED or (not name and not skip):
            raise InvalidMark("not a mark of a page")
        return cls(Below(_id(name)) if name else None, skip)

    @classmethod
    def behind(cls, ids: Sequence[Any], before: Self | None) -> Self | None:
        """Return the mark of the page behind these ids, the last page, which itself began at the mark ``before``.

        None where it cannot be named: behind ten thousand orders whose ids do not fit into an address.
        """
        for skip, shown in enumerate(reversed(ids)):
            if _fits(shown):
                return cls(Below(shown), skip)
        skip = len(ids) + (before.skip if before is not None else 0)
        return cls(before.below if before is not None else None, skip) if skip <= MOST_SKIPPED else None

    def __str__(self) -> str:
        name = "" if self.below is None else _name(self.below.id)
        return f"{name}.{self.skip}" if self.skip else name


def _name(id: Any) -> str:
    """Return hex for an ObjectId, the BSON in base64 for what other programs use as ids."""
    return str(id) if isinstance(id, ObjectId) else _FOREIGN + base64.urlsafe_b64encode(bson.encode({"": id})).decode()


def _id(name: str) -> Any:
    if _HEX.fullmatch(name):
        return ObjectId(name)
    if not name.startswith(_FOREIGN) or len(name) > 4 * (_LONGEST // 3) + 4:
        raise InvalidMark("not an order's id")
    try:
        marked = bson.decode(base64.b64decode(name[1:], altchars=b"-_", validate=True), CODEC)[""]
    except (BSONError, binascii.Error, KeyError, ValueError, RecursionError) as error:
        raise InvalidMark("not a mark of a page") from error
    if _depth(marked) > _DEEPEST:
        raise InvalidMark("not a mark of a page")
    return marked


def _fits(id: Any) -> bool:
    if isinstance(id, (str, bytes)) and len(id) > _LONGEST:
        return False  # at once: an id may have megabytes
    try:
        return _depth(id) <= _DEEPEST and len(bson.encode({"": id})) <= _LONGEST
    except InvalidDocument:
        return False


def _depth(value: Any) -> int:
    """Return how many levels there are, or one more than are taken."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        level = [inner for outer in level for inner in _members(outer)]
        depth += 1
    return depth


def _members(value: Any) -> list[Any]:
    if isinstance(value, DBRef):
        return list(value.as_doc().values())
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, bson.Code):
        return [] if value.scope is None else list(value.scope.values())
    return list(value) if isinstance(value, list) else []
