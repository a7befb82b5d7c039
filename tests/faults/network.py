"""Network namespaces for some processes of an audit, so that the firewall can cut the links between them."""

import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from services.embedded.mongod import Mongod
from tests.faults.small_disk import run
from tests.service_process import ServiceProcess


def network_missing() -> str | None:
    """Return why no network can be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program) is None:
            return f"{program} is not installed (apt-get install {package})"
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace with one address."""

    name: str
    address: str


class Network:
    """A bridge with a namespace for each place; used by `async with`. We ourselves have its first address."""

    def __init__(self, places: int) -> None:
        mark, self._subnet = secrets.token_hex(2), f"10.213.{secrets.randbelow(254) + 1}"
        # In a namespace of its own, where the rules of the machine's firewall (such as Docker's) do not apply.
        self._bridge = f"flt{mark}"
        self.address = f"{self._subnet}.1"
        self.places = [Place(f"flt{mark}-{number}", f"{self._subnet}.{10 + number}") for number in range(places)]

    async def __aenter__(self) -> Self:
        try:
            await run("ip", "netns", "add", self._bridge)
            await run("ip", "-n", self._bridge, "link", "add", "br0", "type", "bridge")
            await run("ip", "-n", self._bridge, "link", "set", "br0", "up")
            await self._plug(self._bridge, "us")
            await run("ip", "addr", "add", f"{self.address}/24", "dev", self._bridge)
            await run("ip", "link", "set", self._bridge, "up")
            for place in self.places:
                await self._join(place)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _join(self, place: Place) -> None:
        inside = ("ip", "-n", place.name)
        await run("ip", "netns", "add", place.name)
        await self._plug("eth0", place.name.rpartition("-")[2], place.name)
        await run(*inside, "addr", "add", f"{place.address}/24", "dev", "eth0")
        await run(*inside, "link", "set", "lo", "up")
        await run(*inside, "link", "set", "eth0", "up")

    async def _plug(self, device: str, port: str, place: str | None = None) -> None:
        """Lead a line from the bridge's ``port`` to a ``device`` in a place, or here."""
        port = f"port-{port}"
        where = [] if place is None else ["netns", place]
        await run(
            *("ip", "link", "add", "name", device, *where, "type", "veth"),
            *("peer", "name", port, "netns", self._bridge),
        )
        await run("ip", "-n", self._bridge, "link", "set", port, "master", "br0", "up")

    async def __aexit__(self, *_: object) -> None:
        for place in self.places:
            with suppress(OSError):
                await run("ip", "netns", "delete", place.name)
        with suppress(OSError):
            await run("ip", "netns", "delete", self._bridge)

    async def cut(self, place: Place, others: list[str]) -> None:
        """Drop every packet between a place and these addresses, silently."""
        addresses = ", ".join(others)
        rules = (
            "table ip cut {\n"
            f"chain in {{ type filter hook input priority 0; ip saddr {{ {addresses} }} drop; }}\n"
            f"chain out {{ type filter hook output priority 0; ip daddr {{ {addresses} }} drop; }}\n}}"
        )
        await run("ip", "netns", "exec", place.name, "nft", rules)

    async def heal(self, place: Place) -> None:
        """Let everything pass again."""
        await run("ip", "netns", "exec", place.name, "nft", "delete table ip cut")


@dataclass(eq=False, kw_only=True)
class PlacedMongod(Mongod):
    """A mongod in a namespace of its own."""

    place: Place

    @property
    def host(self) -> str:
        return f"{self.place.address}:{self.port}"

    def argv(self) -> list[str]:
        argv = super().argv()
        argv[argv.index("--bind_ip") + 1] = f"127.0.0.1,{self.place.address}"
        return ["ip", "netns", "exec", self.place.name, *argv]


@dataclass(eq=False, kw_only=True)
class PlacedService(ServiceProcess):
    """A service in a namespace of its own."""

    place: Place

    @property
    def url(self) -> str:
        return f"http://{self.place.address}:{self.port}"

    def argv(self) -> list[str]:
        return ["ip", "netns", "exec", self.place.name, *super().argv()]

    def env(self) -> Mapping[str, str]:
        return {"WATCHER_HOST": self.place.address, **super().env()}
