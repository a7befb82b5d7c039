"""An Engine.IO session over polling, driven step by step and in any order."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.abuse.attackers.attacker import Tally, Target
from tests.abuse.attackers.wire import ENGINE, Answer, Refused, Wire, request, wire

SEPARATOR = b"\x1e"


class PollingSession:
    """One session. Any number of its requests may be under way at once, each on a connection of its own."""

    def __init__(self, target: Target, tally: Tally, stack: AsyncExitStack) -> None:
        self._target = target
        self._tally = tally
        self._stack = stack
        self._idle: list[Wire] = []
        self.path = f"{ENGINE}polling"
        self.sid = ""

    async def open(self, auth: object = None, *, join: bool = True) -> None:
        answer = await self._ask(request("GET", self.path))
        if answer.status != 200:
            raise Refused
        self.sid = json.loads(answer.body.split(SEPARATOR)[0][1:])["sid"]
        self.path += f"&sid={self.sid}"
        if join:
            await self.post(b"40" + (b"" if auth is None else json.dumps(auth).encode()))

    async def post(self, *packets: bytes) -> Answer:
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        return await self._ask(request("POST", self.path, SEPARATOR.join(packets), headers))

    async def get(self) -> list[bytes]:
        """Return what has waited, or what comes first."""
        answer = await self._ask(request("GET", self.path))
        if answer.status != 200:
            raise Refused
        return answer.body.split(SEPARATOR)

    async def _ask(self, data: bytes) -> Answer:
        connection = self._idle.pop() if self._idle else await self._connection()
        answer = await connection.ask(data)
        if b"onnection: close" not in answer.head:
            self._idle.append(connection)  # one whose answer never came is used no more
        return answer

    async def _connection(self) -> Wire:
        return await self._stack.enter_async_context(wire(self._target, self._tally))


@asynccontextmanager
async def polling(
    target: Target, tally: Tally, *, auth: object = None, join: bool = True
) -> AsyncIterator[PollingSession]:
    """Open a session, joined to the orders."""
    async with AsyncExitStack() as stack:
        session = PollingSession(target, tally, stack)
        await session.open(auth, join=join)
        yield session
