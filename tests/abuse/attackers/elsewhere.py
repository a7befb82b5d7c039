"""Requests by which a page of a stranger's would reach the product through the browser of somebody who is let in."""

from collections.abc import Mapping
from typing import NamedTuple

from tests.abuse.attackers.attacker import Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import ENGINE, ask_forever, request, upgrade_request


class Forged(NamedTuple):
    """A request and the statuses that may answer it."""

    what: str
    data: bytes
    answers: frozenset[int]


_MISDIRECTED = frozenset({421})
_NO_HOST = frozenset({400})
_FORBIDDEN = frozenset({403})
_HOSTS = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example@localhost",
]
_ORIGINS = ["http://evil.example", "https://localhost.evil.example", "http://localhost:1", "null", "file://", "x"]
_ORDER = "/api/orders/0123456789abcdef01234567"


def _calls(fields: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [
        ("list", request("GET", "/api/orders", headers=fields)),
        ("delete", request("DELETE", _ORDER, headers=fields)),
        ("stream", request("GET", "/api/orders/events", headers=fields)),
        ("polling", request("GET", f"{ENGINE}polling", headers=fields)),
        ("websocket", upgrade_request(headers=fields)),
        ("page", request("GET", "/", headers=fields)),
    ]


FORGED: list[Forged] = [
    Forged(f"{what}, Host {host}", data, _NO_HOST if "@" in host else _MISDIRECTED)
    for host in _HOSTS
    for what, data in _calls({"Host": host})
] + [
    Forged(f"{what}, Origin {origin}", data, _FORBIDDEN)
    for origin in _ORIGINS
    for what, data in _calls({"Origin": origin})
    if what in {"stream", "polling", "websocket"}  # the others are told by CORS, which the browser heeds
]


@attacker()
async def forged_hosts_and_origins(target: Target, tally: Tally) -> None:
    """Asks for everything with the Host, or the Origin, of another site."""
    refused = [each.data for each in FORGED if each.what.split(",")[0] not in {"stream", "websocket"}]
    await ask_forever(target, tally, refused, at_once=4)


ATTACKERS: list[Attacker] = [forged_hosts_and_origins]
