"""Shares the random secret that signs session ids and seals cookies among all replicas, through MongoDB."""

import asyncio
from typing import Any, Protocol

import pymongo
import structlog
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from services.common.error_text import error_text
from services.common.secret_document import COLLECTION, RECOVERY, new_secret, secrets_of
from services.mongodb.faults import explain

_PATIENCE = 2.0  # seconds; a start must not wait longer for an unreachable MongoDB

log = structlog.get_logger("gateway")


class SecretUser(Protocol):
    """What the secret is for."""

    def use(self, *secrets: str) -> None:
        """Use the first of them from now on; the others stay valid."""


class SharedSecret:
    """The secret in the collection `gateway_secrets`: created by the first replica, never changed by us."""

    def __init__(
        self,
        database: "AsyncDatabase[dict[str, Any]]",
        *users: SecretUser,
        refresh: float = 60.0,
        retry: float = 2.0,
    ) -> None:
        # Majority for both: a secret that a failover can roll back must not be used.
        self._collection = database.get_collection(
            COLLECTION, read_concern=ReadConcern("majority"), write_concern=WriteConcern("majority")
        )
        self._users = users
        self._refresh = refresh  # seconds until every replica knows a new secret
        self._retry = retry
        self._known: list[str] = []
        self._failing = False

    async def follow(self) -> None:
        """Poll for a changed secret, for ever."""
        while True:
            await asyncio.sleep(self._retry if self._failing else self._refresh)
            await self.load()

    async def load(self) -> None:
        """Read the secret. If MongoDB is unreachable, keep the known one; the next load uses the secret."""
        try:
            with pymongo.timeout(_PATIENCE):
                found = await self._read()
        except PyMongoError as error:
            if not self._failing:
                self._failing = True
                log.warning(
                    "Cannot read the secret for session ids, using the cached one",
                    error=explain(error_text(error))[:300],
                )
            return
        if self._failing:
            self._failing = False
            log.info("The secret for session ids can be read again")
        if found != self._known:
            self._known = found
            for user in self._users:
                user.use(*found)

    async def _read(self) -> list[str]:
        document = await self._collection.find_one({"_id": RECOVERY})
        if document is None:
            # If it was deleted while we run, the replicas still agree on the one that they know.
            document = {"_id": RECOVERY, "secrets": self._known or [new_secret()]}
            try:
                await self._collection.insert_one(document)
            except DuplicateKeyError:
                document = await self._collection.find_one({"_id": RECOVERY}) or document
        return secrets_of(document)
