"""Reads and writes JSON that can harm neither this process nor the browser that is sent it."""

import re
from collections.abc import Callable

import orjson

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

# The closing quote is optional, so that every character is looked at once: were a string that never ends no match, each
# quote in it would be tried as a beginning, and 64 KiB of them would stop the process for many seconds.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


class InvalidJSON(ValueError):
    """Not JSON, nested too deep, or with a number that JSON cannot hold."""


def loads(text: str, *, max_depth: int) -> JSON:
    """Parse JSON of bounded depth. NaN, infinities and lone surrogates are refused."""
    if _too_deep(text, max_depth):
        raise InvalidJSON("nested too deep")
    try:
        value: JSON = orjson.loads(text)
    except ValueError as error:  # also UnicodeEncodeError, for text with lone surrogates
        raise InvalidJSON(str(error)) from error
    return value


def dumps(value: object, default: Callable[[object], object] | None = None) -> bytes:
    """Return compact JSON; NaN and infinities, which a browser could not parse, become null."""
    return orjson.dumps(value, default)


def _too_deep(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False  # nearly always; counting is a hundred times cheaper than looking
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        character = text[match.start()]
        if character in "[{":
            depth += 1
            if depth > limit:
                return True
        elif character in "]}":
            depth -= 1
    return False
