"""Reads the authority of an HTTP request, `host[:port]`, as RFC 3986 (3.2, 6.2) and RFC 9110 (7.2) have it."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]+))(?::([0-9]{0,5}))?", re.ASCII)
LOOPBACKS = ("127.0.0.1", "::1")
_LONGEST = 255 + len(":65535")


class Authority(NamedTuple):
    """A host in its normal form (lower case, no trailing dot, no brackets), and the port if one was given."""

    host: str
    port: int | None

    @classmethod
    @lru_cache(256)  # nearly every request of a server's names the same
    def parse(cls, text: str) -> "Authority | None":
        """Parse a `Host` header; return None if it is not a valid host."""
        match = _AUTHORITY.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            return None
        bracketed, name, digits = match.groups()
        port = int(digits) if digits else None
        address = parse_address(bracketed or name.removesuffix("."))
        if (port is not None and port > 65535) or (bracketed and not address):
            return None
        host = str(address) if address else name.removesuffix(".").lower()
        return cls(host, port) if host else None

    def port_for(self, scheme: str) -> int | None:
        """Return the port, or the default one of this scheme."""
        return _DEFAULT_PORTS.get(scheme) if self.port is None else self.port


class Hosts:
    """The host names that a listener answers to, so that a hostile page cannot reach it under a name of its own.

    To a browser `http://evil.example` is one origin, whatever address the name resolves to: with DNS rebinding, that
    page could read and write here. Loopback names are always accepted. So is any IP address if `addresses` is set: it
    needs no DNS, so it cannot be rebound. Ports are ignored; `*.example.com` stands for all subdomains, `*` for any
    name.
    """

    def __init__(self, names: Iterable[str] = (), *, addresses: bool = False) -> None:
        listed = {name.strip().lower() for name in names}
        self._any = "*" in listed
        self._suffixes = tuple(name.removeprefix("*") for name in listed if name.startswith("*."))
        self._names = {known.host for name in listed if (known := Authority.parse(name))}
        self._addresses = addresses

    def answer_to(self, host: str) -> bool:
        """Return whether a request for this host (of an `Authority`) is meant for us."""
        if self._any or host in self._names or is_loopback(host) or host.endswith(self._suffixes):
            return True
        return self._addresses and parse_address(host) is not None


def listen_addresses(setting: str) -> tuple[str, ...]:
    """Return the addresses to listen on, which are separated by commas; `localhost` means both loopback addresses.

    So it does not matter to which of them a client resolves `localhost`.
    """
    given = [host for part in setting.split(",") if (host := part.strip().removeprefix("[").removesuffix("]"))]
    found = [one for host in given for one in (LOOPBACKS if host.lower() == "localhost" else (host,))]
    return tuple(dict.fromkeys(found))


def listens_locally(setting: str) -> bool:
    """Return whether only this machine can connect; an empty setting means all addresses."""
    hosts = listen_addresses(setting)
    return bool(hosts) and all(map(is_loopback, hosts))


@lru_cache(256)  # as for `Authority.parse`
def is_loopback(host: str) -> bool:
    """Return whether this host can only be the machine itself (RFC 6761, 6.3)."""
    address = parse_address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an IP address, unmapping IPv4 from IPv6; return None for any other text."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
