"""Ids and marks of pages that are no ids: nested, long, of any type."""

import base64
import struct

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import ask_forever, request


def _document(elements: bytes) -> bytes:
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


def _nested(depth: int, kind: int) -> bytes:
    """Return BSON of documents (3) or arrays (4) in one another."""
    whole = _document(b"\x10\0\1\0\0\0")
    for _ in range(depth):
        whole = _document(bytes([kind]) + b"\0" + whole)
    return whole


def _text(tag: int, value: str) -> bytes:
    data = value.encode() + b"\0"
    return bytes([tag]) + b"\0" + struct.pack("<i", len(data)) + data


def _in_base64(document: bytes) -> str:
    """Return the document as an id has it."""
    return "~b" + base64.urlsafe_b64encode(document).decode().rstrip("=")


_VALUES = [
    *(_nested(depth, kind) for depth in (90, 150, 200, 215) for kind in (3, 4)),
    _document(b"\x0b\0(a+)+$\0imsx\0"),  # a regular expression
    _document(_text(0x0D, "while(true){}" + MARK)),  # code
    _document(_text(2, MARK * 150)),
    _document(b"\x01\0" + struct.pack("<d", float("nan"))),
    _document(b"\x09\0" + struct.pack("<q", 2**63 - 1)),  # a date that Python has not
    _document(b"\x05\0" + struct.pack("<i", 16) + b"\x04" + bytes(16)),  # a UUID
    _document(b"\x05\0" + struct.pack("<i", -1) + b"\x00"),
    _document(b"\xff\0"),
    struct.pack("<i", 2**31 - 1) + b"\x03\0",
    _document(b""),
    b"",
]
_MARKS = [
    *(_in_base64(value) for value in _VALUES),
    "~b" + "A" * 16_000,
    _in_base64(_nested(800, 3)),
    "~~~~" + MARK,
    "~" + "%00" * 500,
    "%ff%fe" * 100,
    "." * 7_000,
]
EXPENSIVE = [request("GET", f"/api/orders?limit=1&after={mark}") for mark in _MARKS]


@attacker()
async def nested_marks(target: Target, tally: Tally) -> None:
    """Asks for the page after a mark that is BSON two hundred levels deep, or of any other type."""
    await ask_forever(target, tally, EXPENSIVE, at_once=2)


@attacker()
async def nested_ids(target: Target, tally: Tally) -> None:
    """Reads, changes, deletes and listens to orders of such ids."""
    change = b'{"status":"shipped"}'
    headers = {"Content-Type": "application/json"}
    calls = [
        data
        for mark in _MARKS
        for data in (
            request("GET", f"/api/orders/{mark}"),
            request("PUT", f"/api/orders/{mark}", change, headers),
            request("DELETE", f"/api/orders/{mark}"),
            request("GET", f"/api/orders?id={mark}"),
        )
    ]
    await ask_forever(target, tally, calls, at_once=2)


ATTACKERS: list[Attacker] = [nested_marks, nested_ids]
