"""A real valkey-server (or redis-server): a child process, or a container."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.embedded.binaries import VALKEY
from services.embedded.data_server import DataServer
from services.embedded.folders import private_folder


@dataclass(eq=False, kw_only=True)
class Valkey(DataServer):
    """One server with its data in `folder`; its data survives a restart only with `durable`."""

    wanted = VALKEY

    durable: bool = False
    arguments: Sequence[str] = ()
    name: str = "Valkey"

    def uri(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def options(self, address: str) -> list[str]:
        return [
            *("--port", str(self.port), "--bind", address, "--dir", str(self._data()), "--daemonize", "no"),
            *("--appendonly", "yes" if self.durable else "no", "--save", ""),
            # Full memory must be an error that the watcher sees; evicting a key would silently lose changes.
            *("--maxmemory-policy", "noeviction"),
            # A gateway that is busy for a moment must not be disconnected from the channel.
            *("--client-output-buffer-limit", "pubsub", "256mb", "128mb", "60"),
            # To a container, our connections do not come from loopback.
            *(() if address == "127.0.0.1" else ("--protected-mode", "no")),
            *self.arguments,
        ]

    def _data(self) -> Path:
        """Use a separate folder for the image, which cannot read the newer wheel's data; the log is rebuilt."""
        return self.folder if self.image() is None else private_folder(self.folder.resolve() / "container")

    async def answers(self) -> bool:
        try:
            async with Redis(port=self.port, socket_connect_timeout=1, socket_timeout=5) as client:
                return bool(await client.ping())
        except (RedisError, OSError):
            return False
