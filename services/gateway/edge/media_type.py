"""Reads which type a request's body has.

aiohttp would do it with Python's parser of e-mail headers: 8 KB of semicolons take it a second, and brackets within
brackets raise RecursionError.
"""

import re
from typing import NamedTuple

from aiohttp import hdrs

from services.gateway.edge.request import Request

_TOKEN = r"[0-9A-Za-z!#$%&'*+.^_`|~-]+"
_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})[\t ]*(?:;|$)", re.ASCII)
_CHARSET = re.compile(rf';[\t ]*charset="?({_TOKEN})"?[\t ]*(?:;|$)', re.ASCII | re.IGNORECASE)

_UNKNOWN = "application/octet-stream"  # what RFC 9110 has one assume where nothing readable is said


class MediaType(NamedTuple):
    """A type such as `application/json`, and the charset if it is named."""

    name: str
    charset: str | None = None


def media_type(request: Request) -> MediaType:
    """Return what `Content-Type` says (RFC 9110, 8.3), both in lower case."""
    said = request.headers.get(hdrs.CONTENT_TYPE, "").strip("\t ")
    named, charset = _TYPE.match(said), _CHARSET.search(said)
    return MediaType(_UNKNOWN if named is None else named[1].lower(), None if charset is None else charset[1].lower())
