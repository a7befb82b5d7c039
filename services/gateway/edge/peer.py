"""Finds out whose connection it is."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import hdrs

from services.gateway.edge.request import Request

Network = IPv4Network | IPv6Network


def peer_address(request: Request, trusted_proxies: Sequence[Network] = ()) -> str:
    """Return the client's address: the peer of the connection, or, through trusted proxies only, whom they name.

    X-Forwarded-For is read from its end, where the last proxy wrote: what a client itself put in front is not reached.
    """
    address = request.remote or ""
    if not trusted_proxies:
        return address
    named = [part.strip() for part in ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, [])).split(",")]
    while named and _is_trusted(address, trusted_proxies):
        candidate = named.pop()
        if _parse(candidate) is None:
            break
        address = candidate
    return address


def counted_as(peer: str, trusted_proxies: Sequence[Network] = ()) -> str | None:
    """Return by what the connections of a peer are counted; None for a trusted proxy, whose clients are many."""
    return None if _is_trusted(peer, trusted_proxies) else peer


def _is_trusted(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parse(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
