"""The mark at which a page of a sorted list begins or ends: the sort key of an order, opaque to clients."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import bson
from bson.errors import BSONError

from services.common.documents import CODEC
from services.common.ids import canonical
from services.gateway.bson_element import Element, element
from services.gateway.page_mark import MAX_SKIPPED, InvalidMark

_PREFIX = "~~k"  # no id begins like this, and no mark of a list that is sorted by id
# Bytes of a key. Two marks are sent in one `Link` header, and proxies allow 4 KiB for all response headers.
LONGEST_VALUE = 820  # 200 characters of four bytes each, which is the longest that this API stores
LONGEST_ID = 300
MAX_PARTS = 4  # of a list
_ARRAY = 4


class Place(NamedTuple):
    """Where an order is in a list: in which of its parts, and by which key there."""

    part: int
    value: Element
    id: str

    @property
    def fits(self) -> bool:
        """Whether it fits into a mark."""
        return len(self.value.data) <= LONGEST_VALUE and len(self.id) <= LONGEST_ID


class KeyMark(NamedTuple):
    """A place in the list of this ``name``, and how many orders to skip beyond it.

    A key that is too long does not fit into a header. Such an order is marked by the last one before it that does fit
    (or by the end of the list, without a place) and the number of orders since then.
    """

    name: str
    place: Place | None
    skip: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the mark for its ``str``; raise InvalidMark or InvalidId."""
        try:
            packed = text.removeprefix(_PREFIX)
            raw = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
            mark = cls._read(raw, bson.decode(raw, CODEC))
        except (BSONError, binascii.Error, ValueError, KeyError, TypeError, RecursionError, OverflowError):
            raise InvalidMark("not a mark of a page") from None
        if str(mark) != text:
            raise InvalidMark("not a mark of a page")
        return mark

    @classmethod
    def _read(cls, raw: bytes, packed: dict[str, Any]) -> Self:
        name, skip, order = packed["s"], packed["n"], packed.get("i")
        if not isinstance(name, str) or type(skip) is not int or not 0 <= skip <= MAX_SKIPPED:
            raise InvalidMark("not a mark of a page")
        if order is None:
            return cls(name, None, skip)
        part, value = packed["p"], element(raw, "v")
        if type(part) is not int or not 0 <= part < MAX_PARTS or value.type == _ARRAY:
            raise InvalidMark("not a mark of a page")
        place = Place(part, value, canonical(order))
        if not place.fits:  # none was issued; and MongoDB takes no value of hundreds of levels
            raise InvalidMark("not a mark of a page")
        return cls(name, place, skip)

    @classmethod
    def beyond(cls, name: str, places: Sequence[Place], before: Self | None) -> Self | None:
        """Return the mark beyond these places, in the order in which they were read from the mark ``before`` on.

        None where there is no such mark: after ten thousand orders whose keys do not fit into a header.
        """
        for skip, place in enumerate(reversed(places)):
            if place.fits:
                return cls(name, place, skip)
        skip = len(places) + (before.skip if before is not None else 0)
        return cls(name, before.place if before is not None else None, skip) if skip <= MAX_SKIPPED else None

    def __str__(self) -> str:
        packed: dict[str, Any] = {"s": self.name, "n": self.skip}
        if self.place is not None:
            packed |= {"p": self.place.part, "i": self.place.id}
        raw = bson.encode(packed)
        if self.place is not None:
            value = bytes([self.place.value.type]) + b"v\0" + self.place.value.data
            raw = (len(raw) + len(value)).to_bytes(4, "little") + raw[4:-1] + value + b"\0"
        return _PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def is_key_mark(text: str) -> bool:
    """Tell whether it can be no mark of another kind."""
    return text.startswith(_PREFIX)
