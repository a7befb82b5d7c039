"""Finds out whose connection it is, and what it speaks outside our network."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network

import structlog
from aiohttp import hdrs

from services.common.authority import parse_address
from services.gateway.edge.limits import Count, Incident, count_nothing
from services.gateway.edge.request import Request

Network = IPv4Network | IPv6Network

log = structlog.get_logger("clients")

# An address as proxies write it into X-Forwarded-For: plain, or with the client's port as some clouds add it.
_FORWARDED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5}", re.ASCII)
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}  # some proxies name the websocket's


class Peers:
    """Believes `X-Forwarded-For` and `X-Forwarded-Proto` of trusted proxies, and of nobody else."""

    def __init__(self, trusted: Sequence[Network] = (), count: Count = count_nothing) -> None:
        self._trusted = tuple(trusted)
        self._count = count
        self._warned = False

    def address(self, request: Request) -> str:
        """Return the client's address: the peer of the connection, or, through trusted proxies only, what they say.

        X-Forwarded-For is read from its end, where the last proxy wrote: what a client itself put in front is not
        reached.
        """
        address = request.remote or ""
        if not self._trusted:
            return address
        named = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")
        while named and self._trusts(address):
            entry = named.pop().strip()
            client = _forwarded_address(entry)
            if client is None:
                if entry:
                    self._unreadable(entry, address)
                break
            address = client
        return address

    def counted_as(self, peer: str) -> str | None:
        """Return on what account the connections of a peer count; None for a trusted proxy, whose clients are many."""
        return None if self._trusts(peer) else account_of(peer)

    def scheme(self, request: Request) -> str | None:
        """Return `http` or `https` where a trusted proxy says which of them the client speaks, else None: unknown.

        The connection's own scheme says nothing: any proxy in front may have ended TLS.
        """
        if not self._trusts(request.remote or ""):
            return None
        said = {
            part.strip().lower() for part in ",".join(request.headers.getall(hdrs.X_FORWARDED_PROTO, [])).split(",")
        }
        return _SCHEMES.get(said.pop()) if len(said) == 1 else None

    def _trusts(self, address: str) -> bool:
        parsed = parse_address(address) if self._trusted else None
        return parsed is not None and any(parsed in network for network in self._trusted)

    def _unreadable(self, entry: str, proxy: str) -> None:
        self._count(Incident.UNREADABLE_ADDRESS)
        if not self._warned:  # once: each request of such a proxy has one
            self._warned = True
            log.warning(
                "X-Forwarded-For of a trusted proxy cannot be read; its clients count as one address",
                entry=entry[:80],
                proxy=proxy,
            )


def account_of(address: str) -> str:
    """Return on what account a connection counts: an IPv4 address, or the IPv6 network of 64 bits that one client has.

    Every IPv6 customer can use all 2^64 addresses of such a network.
    """
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed.packed[:8] + bytes(8), 64)))
    return address if parsed is None else str(parsed)


def _forwarded_address(entry: str) -> str | None:
    match = _FORWARDED.fullmatch(entry.strip('"'))
    parsed = parse_address(match[1] or match[2] if match else entry)
    return None if parsed is None else str(parsed)
