"""A real mongod: a member of a replica set, of one by default, because change streams need one."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from services.common.error_text import error_text
from services.embedded.binaries import MONGOD
from services.embedded.data_server import DataServer
from services.embedded.folders import private_folder
from services.embedded.replica_set import direct_client, establish

_MISSING_LIBRARY = re.compile(r"error while loading shared libraries: (\S+?):")
# Debian's packages of the system libraries that the wheel's mongod needs.
_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}


@dataclass(eq=False, kw_only=True)
class Mongod(DataServer):
    """One mongod with its data in `folder`.

    `start` returns when it is the primary of its set of one, or, with `alone=False`, as soon as it answers.
    """

    wanted = MONGOD

    replica_set: str = "rs0"
    arguments: Sequence[str] = ()
    alone: bool = True
    # The delay of a w:1 write in the change stream: MongoDB's 100 ms are noticeable, and take less CPU when idle.
    journal_commit_ms: int = 2
    name: str = "MongoDB"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def uri(self, database: str = "") -> str:
        """Include the set's name, so that clients wait for a restarting primary instead of failing at once."""
        return f"mongodb://{self.host}/{database}?replicaSet={self.replica_set}"

    def options(self, address: str) -> list[str]:
        data = private_folder(self.folder.resolve() / "data")
        return [
            *("--dbpath", str(data), "--port", str(self.port), "--bind_ip", address, "--nounixsocket"),
            *("--replSet", self.replica_set, "--quiet"),
            *("--journalCommitInterval", str(self.journal_commit_ms)),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # A killed gateway leaves its transaction, and what that holds, to MongoDB; the default is a minute.
            *("--setParameter", "transactionLifetimeLimitSeconds=10"),
            # How long a stopping primary looks for a successor; the default is 15 s.
            *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=500"),
            *self.arguments,
        ]

    async def answers(self) -> bool:
        try:
            async with direct_client(self.host) as client:
                if self.alone:
                    await establish(client, self.replica_set, [self.host])
                hello = await client.admin.command("hello")
        except PyMongoError:
            return False
        return bool(hello["isWritablePrimary"]) or not self.alone

    def exit_reason(self) -> str:
        tail = " ".join(self.last_lines(40))
        if missing := _MISSING_LIBRARY.search(tail):
            library = missing[1]
            package = _PACKAGES.get(library, "the package that holds it")
            return (
                f"MongoDB needs the library {library}, which this machine lacks: install {package} (apt-get install)."
            )
        return super().exit_reason()

    def error_lines(self) -> list[str]:
        lines = self.last_lines(200)
        return [text for line in lines if (text := _error_text(line))][-3:] or lines[-3:]


def _error_text(line: str) -> str | None:
    """Return the text of a log line of severity error or fatal."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("s") not in {"E", "F"}:
        return None
    error = entry.get("attr", {}).get("error", "")
    return f"{entry.get('msg', '')} {error_text(error)}".strip()
