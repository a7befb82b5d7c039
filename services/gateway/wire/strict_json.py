"""Reads and writes JSON that is safe for this process and for the receiving browser."""

from collections.abc import Callable

import orjson

from services.common.error_text import error_text

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


class InvalidJSON(ValueError):
    """Not JSON, nested too deep, or with a number that JSON cannot represent."""


def loads(text: str, *, max_depth: int) -> JSON:
    """Parse JSON of bounded depth. NaN, infinities and lone surrogates are refused."""
    try:
        value: JSON = orjson.loads(text)  # orjson itself stops at a depth of 1024
    except ValueError as error:  # also UnicodeEncodeError, for text with lone surrogates
        raise InvalidJSON(error_text(error)) from error
    if text.count("[") + text.count("{") > max_depth and _is_deeper(value, max_depth):
        raise InvalidJSON("nested too deep")
    return value


def dumps(value: object, default: Callable[[object], object] | None = None) -> bytes:
    """Return compact JSON; NaN and infinities, which a browser cannot parse, become null."""
    return orjson.dumps(value, default)


def _is_deeper(value: JSON, limit: int) -> bool:
    """Walk level by level, visiting each list and object once."""
    level = [value] if isinstance(value, (list, dict)) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (list, dict))
        ]
    return bool(level)
