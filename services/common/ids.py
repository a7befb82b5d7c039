"""Encodes each ``_id`` as a text that no other ``_id`` has, and decodes it again.

An ObjectId is its 24 hexadecimal digits and an ordinary string is itself. Every other value, and a string that could be
mistaken for another value, is marked: ``~``, a letter for the type, and the value.

    ~i5  ~l5  ~d1.5          32-bit, 64-bit integer; double
    ~u01234567-89ab-…        UUID (binary of subtype 4)
    ~sevents                 a string that looks like an ObjectId or a marked text, or that no URL can end in
    ~bEAAAAA…                anything else: the BSON document ``{"": value}`` in URL-safe base64
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import bson
from bson import Binary, Code, DBRef, Int64, ObjectId, Regex
from bson.errors import BSONError

from services.common.documents import CODEC

LONGEST = 16_384  # characters of a marked text; our servers accept no longer URL

_DEEPEST = 180  # levels of nesting that MongoDB stores; it rejects much deeper queries

_MARK = "~"
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Browsers resolve the first two before they send a URL; the third is the stream's own address.
_NO_PATH = frozenset({"", ".", "..", "events"})
_DOTS_WITHIN = re.compile(r"(?:^|/)\.\.?/|/\.\.?$")  # proxies resolve them, also behind a percent-encoded slash

# For descriptions (ECMA-262): whatever this matches is the text of an ObjectId, a string, an integer or a UUID.
_PLAIN = r"(?!~|events$|\.\.?(?:/|$))(?!.*/\.\.?(?:/|$))[^\u0000-\u001f\u007f-\u009f]+"
_MARKED = r"[il](?:0|-?[1-9][0-9]{0,8})|u[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|s[0-9a-fA-F]{24}"
COMMON_IDS = f"^(?:{_PLAIN}|~(?:{_MARKED}))$"

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+\.[0-9]+|-?[0-9](?:\.[0-9]+)?e[+-][0-9]+", re.ASCII)


class InvalidId(ValueError):
    """The text is not the encoding of an ``_id``."""


def id_text(value: Any) -> str:
    """Return the text of this ``_id``, as used in all JSON, URLs and filters."""
    if type(value) is ObjectId:
        return str(value)
    if type(value) is str:
        return _string(value)
    if type(value) is int and -(2**31) <= value < 2**31:
        return f"{_MARK}i{value}"
    if type(value) is Int64:
        return f"{_MARK}l{int(value)}"
    if type(value) is float and math.isfinite(value):
        return f"{_MARK}d{value!r}"
    if type(value) is Binary and value.subtype == 4 and len(value) == 16:
        return f"{_MARK}u{value.as_uuid()}"
    return _bson(value)


def parse_id(text: str) -> Any:
    """Decode an ``_id``; raise InvalidId.

    Digits of an ObjectId may be in upper case; otherwise only the exact text of ``id_text`` is accepted, so that equal
    ids have equal texts. The value may be a subdocument from outside: compare it by ``$eq`` only.
    """
    if _OBJECT_ID.fullmatch(text):
        return ObjectId(text)
    value = _marked(text) if text.startswith(_MARK) else text
    if id_text(value) != text or not _is_unicode(text):
        raise InvalidId("not an order's id")
    return value


def canonical(text: str) -> str:
    """Return the text in the form of ``id_text``; raise InvalidId."""
    return id_text(parse_id(text))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # from a URL whose bytes are not UTF-8, or a surrogate escaped in JSON
        return False
    return True


def _string(value: str) -> str:
    if _CONTROL.search(value) or _DOTS_WITHIN.search(value):
        return _bson(value)  # proxies refuse it in a URL
    if value in _NO_PATH or value.startswith(_MARK) or _OBJECT_ID.fullmatch(value):
        return f"{_MARK}s{value}"
    return value


def _bson(value: Any) -> str:
    return f"{_MARK}b{base64.urlsafe_b64encode(bson.encode({'': value}, codec_options=CODEC)).decode().rstrip('=')}"


def _marked(text: str) -> Any:
    if len(text) > LONGEST:
        raise InvalidId("too long for an order's id")
    read = _READERS.get(text[1:2])
    if read is None:
        raise InvalidId("not an order's id")
    try:
        return read(text[2:])
    except (BSONError, binascii.Error, ValueError, OverflowError, KeyError, RecursionError):
        # Without its cause, whose text would contain client input.
        raise InvalidId("not an order's id") from None


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise InvalidId("not an integer")
    return int(text)


def _double(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise InvalidId("not a number")
    return float(text)


def _from_bson(text: str) -> Any:
    document = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    value = bson.decode(document, CODEC)[""]
    if isinstance(value, (list, Regex)):
        raise InvalidId("MongoDB takes no such _id")  # and as a condition it would match others
    if _depth(value) > _DEEPEST:
        raise InvalidId("MongoDB takes no _id of so many levels")
    return value


def _depth(value: Any) -> int:
    """Return the levels of nested documents and arrays, or one more than the limit."""
    level, depth = [value], -1
    while level and depth <= _DEEPEST:
        level = [inner for outer in level for inner in _members(outer)]
        depth += 1
    return depth


def _members(value: Any) -> list[Any]:
    if isinstance(value, DBRef):
        return list(value.as_doc().values())
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, Code):
        return [] if value.scope is None else list(value.scope.values())
    return value if isinstance(value, list) else []


_READERS: Mapping[str, Callable[[str], Any]] = {
    "i": _integer,
    "l": lambda text: Int64(_integer(text)),
    "d": _double,
    "u": lambda text: Binary.from_uuid(UUID(text)),
    "s": str,
    "b": _from_bson,
}
