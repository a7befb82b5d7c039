"""Parses the request that opens a websocket (RFC 6455, section 4.1), if it is plain and complete."""

import re
from typing import NamedTuple

from multidict import CIMultiDict

LARGEST = 8192

# A target that needs no decoding, header lines of plain ASCII, and nothing after them.
_REQUEST = re.compile(
    r"GET (/[\w./-]*)\?((?:[\w.=-]+&)*[\w.=-]+) HTTP/1\.1\r\n((?:[\w-]+:[\t -~]*\r\n)+)\r\n", re.ASCII
)
_FIELD = re.compile(r"([\w-]+):[\t ]*((?:[\t -~]*[!-~])?)[\t ]*\r\n", re.ASCII)
_BODY = {"content-length", "transfer-encoding", "expect"}


class Handshake(NamedTuple):
    """The request; ``remote`` is the peer's address. Attributes are named as in aiohttp's requests."""

    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    remote: str
    method: str = "GET"
    version: tuple[int, int] = (1, 1)


def parse_handshake(data: bytes, remote: str = "") -> Handshake | None:
    """Parse the first bytes of a connection; None where that takes an HTTP parser.

    That is the case for every request that is not a GET with a query, has a body, an escape or a duplicate, or is not
    complete; so no other parser can read the returned request differently.
    """
    match = _REQUEST.fullmatch(data.decode("latin-1")) if len(data) <= LARGEST else None
    if match is None:
        return None
    path, query, lines = match.groups()
    headers = CIMultiDict(_FIELD.findall(lines))
    names = set(map(str.lower, headers))
    values = dict([pair.partition("=")[::2] for pair in query.split("&")])
    if len(names) < len(headers) or len(values) <= query.count("&") or "host" not in names or names & _BODY:
        return None
    return Handshake(path, values, headers, remote)
