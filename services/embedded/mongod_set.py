"""Several mongods that make one replica set on this machine, for tests that kill or freeze the primary."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from services.embedded.errors import EmbeddedError
from services.embedded.mongod import Mongod
from services.embedded.replica_set import direct_client, establish


@dataclass(eq=False)
class MongodSet:
    """Started by `async with`; each of `members` (made with `alone=False`) can be killed and started again."""

    members: list[Mongod]
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    def uri(self, database: str = "") -> str:
        hosts = ",".join(member.host for member in self.members)
        return f"mongodb://{hosts}/{database}?replicaSet={self.members[0].replica_set}"

    async def primary(self, deadline: float = 30.0) -> Mongod:
        """Return the current primary; wait for an election if there is none."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            self.uri(), serverSelectionTimeoutMS=deadline * 1000, heartbeatFrequencyMS=500, connectTimeoutMS=1000
        )
        async with client:
            try:
                await client.admin.command("ping")
                address = await client.primary
            except PyMongoError as error:
                message = f"The replica set has had no primary for {deadline:.0f} s."
                raise EmbeddedError(message) from error
        found = next((member for member in self.members if address and member.port == address[1]), None)
        return found or await self.primary(deadline)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stop)
            await asyncio.gather(*(member.start() for member in self.members))
            first = self.members[0]
            async with direct_client(first.host, timeout=5000) as client:
                await establish(client, first.replica_set, [member.host for member in self.members])
            await self.primary()
            self._stack = stack.pop_all()
        return self

    async def _stop(self) -> None:
        await asyncio.gather(*(member.stop() for member in self.members))

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
