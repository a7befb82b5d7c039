"""Determines a client's address and scheme, behind trusted proxies too."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network

import structlog
from aiohttp import hdrs

from services.common.authority import parse_address
from services.gateway.edge.incidents import Count, IncidentKind, count_nothing
from services.gateway.edge.request import Request

Network = IPv4Network | IPv6Network

log = structlog.get_logger("clients")

# An address as proxies write it into X-Forwarded-For: plain, or with the client's port, as some clouds add it.
_FORWARDED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|(\d+\.\d+\.\d+\.\d+):\d{1,5}", re.ASCII)
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}  # some proxies name the websocket's


class Peers:
    """Trusts `X-Forwarded-For` and `X-Forwarded-Proto` from trusted proxies only."""

    def __init__(self, trusted: Sequence[Network] = (), count: Count = count_nothing) -> None:
        self._trusted = tuple(trusted)
        self._count = count
        self._warned = False

    def address(self, request: Request) -> str:
        """Return the client's address: the peer of the connection or, behind trusted proxies, the one they report.

        X-Forwarded-For is read from its end, where the last proxy appended: entries that the client itself sent are
        never reached.
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

    def account(self, request: Request) -> str:
        """Return the account of the client that makes the request, as `account_of` its address."""
        return account_of(self.address(request))

    def counted_as(self, peer: str) -> str | None:
        """Return the account that a peer's connections count against; None for a trusted proxy with many clients."""
        return None if self._trusts(peer) else account_of(peer)

    def is_crowd(self, address: str) -> bool:
        """Tell whether an address may stand for many clients, or a whole test: this machine, or a trusted proxy.

        A proxy's own address is a client's only where the proxy did not say whose it is.
        """
        return _is_loopback(address) or self._trusts(address)

    def scheme(self, request: Request) -> str | None:
        """Return the client's scheme, `http` or `https`, as a trusted proxy reports it, or None where unknown.

        The connection's own scheme proves nothing: a proxy in front may have terminated TLS.
        """
        if not self._trusted or not self._trusts(request.remote or ""):
            return None
        said = {
            part.strip().lower() for part in ",".join(request.headers.getall(hdrs.X_FORWARDED_PROTO, [])).split(",")
        }
        return _SCHEMES.get(said.pop()) if len(said) == 1 else None

    def _trusts(self, address: str) -> bool:
        parsed = parse_address(address) if self._trusted else None
        return parsed is not None and any(parsed in network for network in self._trusted)

    def _unreadable(self, entry: str, proxy: str) -> None:
        self._count(IncidentKind.UNREADABLE_ADDRESS)
        if not self._warned:  # once: each request of such a proxy has one
            self._warned = True
            log.warning(
                "X-Forwarded-For of a trusted proxy cannot be read; its clients count as one address",
                entry=entry[:80],
                proxy=proxy,
            )


@lru_cache(1024)
def account_of(address: str) -> str:
    """Return the account that a connection counts against: an IPv4 address, or the /64 network of an IPv6 address.

    Every IPv6 customer can use all 2^64 addresses of such a network.
    """
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed.packed[:8] + bytes(8), 64)))
    return address if parsed is None else str(parsed)


@lru_cache(1024)
def _is_loopback(address: str) -> bool:
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback


def _forwarded_address(entry: str) -> str | None:
    match = _FORWARDED.fullmatch(entry.strip('"'))
    parsed = parse_address(match[1] or match[2] if match else entry)
    return None if parsed is None else str(parsed)
