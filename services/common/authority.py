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
    """A host in its one normal form (lower case, no last dot, no brackets), and a port where one was given."""

    host: str
    port: int | None

    @classmethod
    @lru_cache(256)  # nearly every request of a server's names the same
    def parse(cls, text: str) -> "Authority | None":
        """Return what a `Host` header names, or None where that is no host."""
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
        """Return the port that is meant under this scheme."""
        return _DEFAULT_PORTS.get(scheme) if self.port is None else self.port


class Hosts:
    """The names that a listener answers to, so that no page of a stranger's reaches it under a name of its own.

    A browser takes `http://evil.example` for one origin, whatever address the name leads to today: with DNS rebinding
    that page would read and write here. Loopback names are always answered. So is any IP address where `addresses` is
    set: no DNS is asked for it, so it cannot be rebound. Names are compared without their ports; `*.example.com` stands
    for all names below, `*` for any.
    """

    def __init__(self, names: Iterable[str] = (), *, addresses: bool = False) -> None:
        listed = {name.strip().lower() for name in names}
        self._any = "*" in listed
        self._suffixes = tuple(name.removeprefix("*") for name in listed if name.startswith("*."))
        self._names = {known.host for name in listed if (known := Authority.parse(name))}
        self._addresses = addresses

    def answer_to(self, host: str) -> bool:
        """Tell whether a request for this host (of an `Authority`) is meant for us."""
        if self._any or host in self._names or is_loopback(host) or host.endswith(self._suffixes):
            return True
        return self._addresses and parse_address(host) is not None


def listened(setting: str) -> tuple[str, ...]:
    """Return the addresses to listen on: several are separated by commas, and `localhost` is both of the machine's own.

    So it does not matter to which of them a client's resolver takes `localhost`.
    """
    given = [host for part in setting.split(",") if (host := part.strip().removeprefix("[").removesuffix("]"))]
    found = [one for host in given for one in (LOOPBACKS if host.lower() == "localhost" else (host,))]
    return tuple(dict.fromkeys(found))


def listens_locally(setting: str) -> bool:
    """Tell whether only this machine reaches what listens there; no address at all means every one."""
    hosts = listened(setting)
    return bool(hosts) and all(map(is_loopback, hosts))


def is_loopback(host: str) -> bool:
    """Tell whether this host can only be the machine itself (RFC 6761, 6.3)."""
    address = parse_address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, an IPv4 one also where it is written as IPv6, or None where the text is something else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
