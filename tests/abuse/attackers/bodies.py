"""Bodies that are small on the wire and dear to whoever reads them."""

import json
import zlib
from functools import cache

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import CUT, ENGINE, ask_forever, forever, json_request, request, wire

_MEGABYTES = 250
_ORDER = "/api/orders/0123456789abcdef01234567"
_PATHS = [
    ("POST", "/api/orders"),
    ("PUT", _ORDER),
    ("POST", f"{ENGINE}polling"),
    ("DELETE", _ORDER),
    ("GET", "/"),
    ("POST", "/nowhere"),
    ("GET", "/api/orders"),
    ("PATCH", "/api/orders/events"),
    ("POST", "/healthz"),
]


@cache
def _deflated(wbits: int) -> bytes:
    """Return 250 MB of blanks, deflated; the same megabyte over and over, which takes a thousandth of the time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    blanks = b" " * (1 << 20)
    first = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (_MEGABYTES - 1)


async def _bombs(target: Target, tally: Tally, bombs: list[bytes]) -> None:
    """Send each to the next path, on two connections."""

    async def attempt() -> None:
        for bomb in bombs:
            try:
                async with wire(target, tally) as connection:
                    await connection.ask(bomb)
            except CUT:
                tally["cut"] += 1

    await forever(attempt, tally, at_once=2)


def _bomb(method: str, path: str, encoding: str, body: bytes, *, chunked: bool = False) -> bytes:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    if not chunked:
        return request(method, path, body, headers)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _split(body))
    head = request(method, path, headers={**headers, "Transfer-Encoding": "chunked"})
    return head + chunks + b"0\r\n\r\n"


def _split(body: bytes, size: int = 8192) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def _plain_bombs() -> list[bytes]:
    return [_bomb(method, path, "gzip", _deflated(31)) for method, path in _PATHS]


_UNKNOWN_KEYS = [
    json_request(
        method,
        path,
        json.dumps({MARK: 0} | {f"{number}": 0 for number in range(5_500)}, separators=(",", ":")).encode(),
    )
    for method, path in _PATHS[:2]
]
_UNKNOWN_PARAMETERS = [
    request("GET", f"{path}?{query}")
    for path in ("/api/orders", "/api/orders/events", "/socket.io/")
    for query in ("&".join(f"{number}x=" for number in range(1_300)), "&".join(["status=x"] * 850))
]
_DEEP_JSON = [
    json_request(method, path, body)
    for body in (b"[" * 60_000, b'{"a":' * 10_000, b"[" * 30_000 + b"]" * 30_000)
    for method, path in _PATHS[:2]
]
_ANYTHING = [0, -0.0, 1e308, None, True, [], {}, [MARK] * 5_000, MARK * 3_000, "\x00" * 3_000, {"$gt": ""}, "\ud800"]
_WRONG_VALUES = [
    json_request(method, path, json.dumps({"customer_name": value, "product_name": value, "status": value}).encode())
    for value in _ANYTHING
    for method, path in _PATHS[:2]
]


def expensive() -> list[bytes]:
    """Return each of these requests once."""
    return _plain_bombs() + _ONE_BYTE_CHUNKS[:2] + _UNKNOWN_KEYS + _UNKNOWN_PARAMETERS + _DEEP_JSON + _WRONG_VALUES


@attacker()
async def gzip_bombs(target: Target, tally: Tally) -> None:
    """Sends 250 KB of gzip that are 250 MB to any path, on two connections."""
    await _bombs(target, tally, _plain_bombs())


@attacker()
async def chunked_bombs(target: Target, tally: Tally) -> None:
    """Sends the same in chunks, so that its length is not known beforehand, and by other encodings."""
    kinds = {"gzip": 31, "deflate": 15, "br": 15, "zstd": 31, "gzip, gzip": 31}
    bombs = [
        _bomb(method, path, encoding, _deflated(wbits), chunked=True)
        for encoding, wbits in kinds.items()
        for method, path in _PATHS[:3]
    ]
    await _bombs(target, tally, bombs)


@attacker()
async def unknown_keys(target: Target, tally: Tally) -> None:
    """Sends orders with 5,500 unknown fields on eight connections."""
    await ask_forever(target, tally, _UNKNOWN_KEYS, at_once=8)


@attacker()
async def unknown_parameters(target: Target, tally: Tally) -> None:
    """Asks for lists and streams with as many unknown or repeated parameters as a line takes."""
    await ask_forever(target, tally, _UNKNOWN_PARAMETERS, at_once=8)


@attacker()
async def deep_json(target: Target, tally: Tally) -> None:
    """Sends brackets in brackets, thousands deep, as orders."""
    await ask_forever(target, tally, _DEEP_JSON, at_once=4)


@attacker()
async def wrong_values(target: Target, tally: Tally) -> None:
    """Sends orders whose fields have any type and any length but the right ones."""
    await ask_forever(target, tally, _WRONG_VALUES, at_once=4)


def _in_bytes(method: str, path: str, count: int) -> bytes:
    """Return a body in chunks of a byte each."""
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    return request(method, path, headers=headers) + b"1\r\n \r\n" * count + b"0\r\n\r\n"


_ONE_BYTE_CHUNKS = [_in_bytes(method, path, 60_000) for method, path in _PATHS]


@attacker()
async def one_byte_chunks(target: Target, tally: Tally) -> None:
    """Sends bodies of 60,000 chunks of one byte, on four connections."""

    async def attempt() -> None:
        for body in _ONE_BYTE_CHUNKS:
            async with wire(target, tally) as connection:
                await connection.ask(body)

    await forever(attempt, tally, at_once=4)


_MEGABYTE = 1_048_576 - 100
_DENSE = ["{},", "[],", "1,", '{"":0},', '"",', "[[[]]],", "1e1,", "true,", '"\\ud800",', '{"a":0,"a":0},']
_DENSE_BATCHES = [
    json_request("POST", "/api/orders:batch", f'{{"operations":[{one * (_MEGABYTE // len(one))}0]}}'.encode())
    for one in _DENSE
]


@attacker()
async def dense_batches(target: Target, tally: Tally) -> None:
    """Sends batches that are a megabyte of the smallest values, on four connections."""
    await ask_forever(target, tally, _DENSE_BATCHES, at_once=4)


ATTACKERS: list[Attacker] = [
    gzip_bombs,
    chunked_bombs,
    unknown_keys,
    unknown_parameters,
    deep_json,
    wrong_values,
    one_byte_chunks,
    dense_batches,
]
