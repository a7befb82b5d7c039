"""Parses the request that opens a websocket (RFC 6455, section 4.1), if it is plain and complete."""

import re
from typing import NamedTuple

from multidict import CIMultiDict

LARGEST = 8192

# A target that needs no decoding, header lines of plain ASCII, and nothing after them.
_REQUEST = re.compile(
    rb"GET (/[\w./-]*)\?((?:[\w.=-]+&)*[\w.=-]+) HTTP/1\.1\r\n((?:[\w-]+:[\t -~]*\r\n)+)\r\n", re.ASCII
)
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
    match = _REQUEST.fullmatch(data) if len(data) <= LARGEST else None
    if match is None:
        return None
    path, query, lines = [part.decode() for part in match.groups()]
    fields = [line.partition(":") for line in lines.split("\r\n")[:-1]]
    names = {name.lower() for name, _, _ in fields}
    values = dict([pair.partition("=")[::2] for pair in query.split("&")])
    if len(names) < len(fields) or len(values) <= query.count("&") or "host" not in names or names & _BODY:
        return None
    headers = CIMultiDict([(name, value.strip("\t ")) for name, _, value in fields])
    return Handshake(path, values, headers, remote)
