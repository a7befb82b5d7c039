"""The mark that says where the next page of a list goes on: the id of the last order shown, as URL-safe text."""

import base64
import binascii
import re
from typing import Any

import bson
from bson import ObjectId
from bson.errors import BSONError

from services.common.documents import CODEC

_HEX = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_FOREIGN = "~"
_LONGEST = 2048  # MongoDB indexes no longer keys well; nobody has such an _id in good faith


class InvalidMark(ValueError):
    """The text is neither an order's id nor a mark that a list gave out."""


def page_mark(id: Any) -> str:
    """Return the mark of an ``_id``: hex for an ObjectId, the BSON in base64 for what other programs use as ids."""
    if isinstance(id, ObjectId):
        return str(id)
    return _FOREIGN + base64.urlsafe_b64encode(bson.encode({"": id})).decode()


def marked_id(mark: str) -> Any:
    """Return the ``_id`` that ``mark`` was made of; raise InvalidMark.

    The value may be of any BSON type and comes from outside: compare with it as a literal only.
    """
    if _HEX.fullmatch(mark):
        return ObjectId(mark)
    if not mark.startswith(_FOREIGN) or len(mark) > _LONGEST:
        raise InvalidMark("not an order's id")
    try:
        return bson.decode(base64.b64decode(mark[1:], altchars=b"-_", validate=True), CODEC)[""]
    except (BSONError, binascii.Error, KeyError, ValueError, RecursionError) as error:
        raise InvalidMark("not a mark of a page") from error
