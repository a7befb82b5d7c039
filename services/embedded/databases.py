"""MongoDB and Redis of `make run`: the user's own if set, else embedded ones in the data folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from services.common.auth import DEVELOPMENT_KEY
from services.common.error_text import error_text
from services.common.running_stack import FILE, AlreadyRunning, RunningStack, claimed
from services.common.stream_spec import DEFAULT_DATABASE
from services.embedded.errors import EmbeddedError
from services.embedded.folders import private_folder
from services.embedded.mongod import Mongod
from services.embedded.ports import require_free
from services.embedded.settings import EmbeddedSettings
from services.embedded.supervisor import Supervisor
from services.embedded.valkey import Valkey

Report = Callable[[str], None]
Announce = Callable[[RunningStack], None]


class Databases:
    """Both databases; `mongod` or `valkey` is None if the user has set another one."""

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self.mongod: Mongod | None = None
        self.valkey: Valkey | None = None
        folder, way = settings.data_dir, settings.embedded_servers
        if settings.mongodb_uri is None:
            port, advice = settings.embedded_mongodb_port, choose_port("EMBEDDED_MONGODB_PORT")
            self.mongod = Mongod(folder=folder / "mongodb", port=port, port_advice=advice, way=way)
        if settings.redis_url is None:
            port, advice = settings.embedded_redis_port, choose_port("EMBEDDED_REDIS_PORT")
            self.valkey = Valkey(folder=folder / "valkey", port=port, port_advice=advice, way=way, durable=True)
        self.mongodb_uri = settings.mongodb_uri or (self.mongod.uri(DEFAULT_DATABASE) if self.mongod else "")
        self.redis_url = settings.redis_url or (self.valkey.uri() if self.valkey else "")

    @property
    def embedded(self) -> list[Mongod | Valkey]:
        """The servers that we run."""
        return [server for server in (self.mongod, self.valkey) if server is not None]

    @contextmanager
    def claimed(self) -> Iterator[Announce]:
        """Lock the data folder, if one is needed."""
        if not self.embedded:
            yield lambda _: None
            return
        folder = private_folder(self._settings.data_dir, known=frozenset({"mongodb", "valkey", FILE, DEVELOPMENT_KEY}))
        try:
            with claimed(folder) as announce:
                yield announce
        except AlreadyRunning as error:
            raise EmbeddedError(f"{error_text(error)}: stop it, or choose another folder with DATA_DIR.") from error

    async def require_ports(self) -> None:
        """Check both ports before starting either server; remove leftovers of an earlier run."""
        for server in self.embedded:
            await server.clear()
            require_free(server.port, purpose=server.name, advice=server.port_advice)

    async def start(self, supervisor: Supervisor, report: Report, announce: Announce) -> None:
        """Start the servers, and announce them to other commands of this folder."""
        if images := [image for server in self.embedded if (image := server.image())]:
            report(f"Docker runs {' and '.join(images)}, with their data in {self._settings.data_dir} too")
        if self.mongod is None:
            report("Using the MongoDB at MONGODB_URI")
        if self.valkey is None:
            report("Using the Redis at REDIS_URL")
        for server in self.embedded:
            report(f"Starting {server.name} on port {server.port} (log: {server.log})")
            await supervisor.keep(server)
        announce(RunningStack(self.mongodb_uri if self.mongod else None, self.redis_url if self.valkey else None))


def choose_port(variable: str) -> str:
    """Return the advice for a port that is taken."""
    return f"choose another port with {variable} (is another `make run` still running?)"
