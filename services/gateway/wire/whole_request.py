"""Recognizes a request of the REST API, whole and plain, in bytes that were not parsed."""

import re

LARGEST = 8192

# A target and header lines of plain ASCII; the stream of events is not among them.
_HEAD = re.compile(
    rb"(?:GET|POST|PUT|PATCH|DELETE) /api/orders(?!/events)[!-~]* HTTP/1\.1\r\n(?:[\w-]+:[\t -~]*\r\n)+\r\n"
)
# What frames a body, or asks for more than an answer: for a stream, or for permission by a page of another origin.
_SPECIAL = re.compile(
    rb"\n(?:(content-length):[\t ]*([0-9]{1,7})[\t ]*\r|(?:content-length|transfer-encoding|expect|upgrade|origin):"
    rb"|connection:[^\r]*close|accept:[^\r]*event-stream)",
    re.IGNORECASE,
)


def is_whole_request(data: bytes) -> bool:
    """Tell whether the bytes are one such request and nothing else, whoever parses them; in doubt, they are not."""
    head = _HEAD.match(data) if len(data) <= LARGEST else None
    if head is None:
        return False
    special = list(_SPECIAL.finditer(data, 0, head.end()))
    if not special:
        return head.end() == len(data)
    length = special[0][2]
    return len(special) == 1 and length is not None and head.end() + int(length) == len(data)
