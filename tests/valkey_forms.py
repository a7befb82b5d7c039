"""Valkey as it is hosted: a cluster of three, a primary with a replica and a Sentinel, and behind TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from services.embedded.binaries import VALKEY
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from tests.certificates import Certificates
from tests.servers import program
from tests.waiting import HANGS, until

_BOUNDS = (0, 5461, 10923, 16384)


async def command(server: Valkey, *words: str | int) -> Any:
    """Say something to a server and return its answer."""
    async with Redis(port=server.port, socket_timeout=HANGS) as client:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]


class Cluster:
    """Three primaries, each with a third of the slots."""

    def __init__(self, nodes: Sequence[Valkey], bus: int) -> None:
        self.nodes = nodes
        self._bus = bus  # the first one's port for the others, which learn theirs from it

    @staticmethod
    def arguments(bus: int) -> tuple[str, ...]:
        """Return the arguments that make a Valkey a node; without a bus port it takes one 10000 higher, if free."""
        return ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", str(bus))

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}/"

    async def form(self) -> None:
        """Make one cluster of the nodes."""
        for node, first, last in zip(self.nodes, _BOUNDS, _BOUNDS[1:], strict=False):
            await command(node, "CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            await command(node, "CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self._bus)
        await until(self._agreed, "the nodes of the cluster agree")

    async def _agreed(self) -> bool:
        infos = [(await command(node, "CLUSTER", "INFO")).decode() for node in self.nodes]
        return all("cluster_state:ok" in info and "cluster_known_nodes:3" in info for info in infos)

    async def move(self, slot: int) -> None:
        """Give a slot to another node; its data is lost."""
        ids = [(await command(node, "CLUSTER", "MYID")).decode() for node in self.nodes]
        owner = next(number for number, last in enumerate(_BOUNDS[1:]) if last > slot)
        heir = (owner + 1) % 3
        await command(self.nodes[owner], "FLUSHALL")
        for number in (heir, owner, 3 - owner - heir):
            await command(self.nodes[number], "CLUSTER", "SETSLOT", slot, "NODE", ids[heir])


class Sentinel(Valkey):
    """A Sentinel that alone decides when the primary is dead."""

    primary: Valkey

    @classmethod
    def watching(cls, primary: Valkey, folder: Path) -> "Sentinel":
        sentinel = cls(folder=folder, port=free_port(), name="Sentinel")
        sentinel.primary = primary
        return sentinel

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/orders"

    def argv(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor orders 127.0.0.1 {self.primary.port} 1",
            "sentinel down-after-milliseconds orders 700",
            "sentinel failover-timeout orders 3000",
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [str(program(VALKEY)), str(path), "--sentinel"]

    async def knows_a_replica(self) -> bool:
        """Without one it has no replica to promote."""
        return len(await command(self, "SENTINEL", "REPLICAS", "orders")) == 1


@asynccontextmanager
async def tls_in_front_of(server: Valkey, certificates: Certificates) -> AsyncIterator[int]:
    """Accept TLS connections on a free port and forward them: the wheel's server itself speaks no TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    connections: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            for end in (writer, inner_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(carry(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
