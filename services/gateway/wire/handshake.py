"""Reads the request that opens a websocket (RFC 6455, section 4.1), where it is plain and whole."""

import re
from typing import NamedTuple

from multidict import CIMultiDict

LARGEST = 8192

# A target that needs no decoding, header lines of plain ASCII, and nothing behind them.
_REQUEST = re.compile(
    rb"GET (/[\w./-]*)\?((?:[\w.=-]+&)*[\w.=-]+) HTTP/1\.1\r\n((?:[\w-]+:[\t -~]*\r\n)+)\r\n", re.ASCII
)
_BODY = {"content-length", "transfer-encoding", "expect"}


class Handshake(NamedTuple):
    """The request; ``remote`` is the address of the peer. Named as in aiohttp's requests."""

    path: str
    query: dict[str, str]
    headers: CIMultiDict[str]
    remote: str
    method: str = "GET"
    version: tuple[int, int] = (1, 1)


def parse_handshake(data: bytes, remote: str = "") -> Handshake | None:
    """Return what the first bytes of a connection ask for, or None where only an HTTP parser can say.

    That is so for every request that is not a GET with a query, has a body, anything escaped or given twice, or is not
    there completely; so what is returned reads the same to everybody.
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
