"""Refuses heads of requests that would be dear to keep or to serve, though each of their lines is within its limit."""

from collections.abc import Iterable

from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError, LineTooLong

from services.front.bodies import LONGEST_HEADER, LONGEST_TARGET

# Bytes of all headers of a request together. aiohttp would take 1 MB: a thousand connections from one address would
# hold it a thousand times, and a header that lists half a million things is read by whoever serves the request.
LONGEST_HEAD = 32_768

# aiohttp's router looks for a route at each of them, and copies the rest each time; no route of ours has ten.
MOST_SEGMENTS = 100


def fault_of(message: RawRequestMessage) -> HttpProcessingError | None:
    """Return why a request is not to be served, or None."""
    if _size(message.raw_headers) > LONGEST_HEAD:
        return LineTooLong(b"", LONGEST_HEADER)
    if message.path.partition("?")[0].count("/") > MOST_SEGMENTS:
        return LineTooLong(b"", LONGEST_TARGET)
    if not message.path.startswith("/"):
        try:
            message.url.host  # noqa: B018 - aiohttp asks for it where nobody could answer the error any more
        except ValueError:
            return InvalidURLError("the host of the target cannot be read")
    return None


def _size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
