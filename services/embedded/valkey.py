"""A real valkey-server (or redis-server) as a child process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.embedded.binaries import valkey_binary
from services.embedded.folders import private_folder
from services.embedded.server import Server


@dataclass(eq=False, kw_only=True)
class Valkey(Server):
    """One server with its data in `folder`. With `durable`, what it holds survives a restart; without, nothing does."""

    folder: Path
    port: int
    durable: bool = False
    arguments: Sequence[str] = ()
    name: str = "Valkey"
    port_advice: str = "give it another port"
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "valkey.log"

    def uri(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def argv(self) -> list[str]:
        private_folder(self.folder)
        return [
            str(valkey_binary()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--daemonize", "no"),
            *("--appendonly", "yes" if self.durable else "no", "--save", ""),
            # Full memory has to be an error that the watcher sees; to drop a key would be to forget changes silently.
            *("--maxmemory-policy", "noeviction"),
            # A gateway that is busy for a moment must not be cut off from the channel.
            *("--client-output-buffer-limit", "pubsub", "256mb", "128mb", "60"),
            *self.arguments,
        ]

    async def answers(self) -> bool:
        try:
            async with Redis(port=self.port, socket_connect_timeout=1, socket_timeout=5) as client:
                return bool(await client.ping())
        except (RedisError, OSError):
            return False
