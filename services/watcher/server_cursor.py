"""Reads a cursor of MongoDB over a connection of its own, and is the only file that knows how PyMongo keeps those.

The driver's own way to a `getMore` (choosing a server and a connection, a session, retries, listeners, two tasks that
wait for the answer) costs three times the CPU, and a third of a millisecond for each change on its way to the browser.
Only its connection is used, which knows about TLS, passwords and compression. The driver is told of errors, and tells
of a server that is silent. Checked against PyMongo 4.20; the connection's methods are not documented.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import bson
from bson import Int64
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

# A message of the wire protocol: length, request, response to, opcode (OP_MSG); flags, kind of the only section.
_HEAD = struct.Struct("<iiiiIB")
_OP_MSG = 2013
_SECTION = 5  # where the document begins, behind the flags and the kind
_REQUEST = 1  # any number does: there is only ever one question, and after a failure the connection is closed
_KILL_SECONDS = 1.0
_LOOK_SECONDS = 0.5


class ServerCursor:
    """An open cursor; ``token`` is the resume token that came last, empty before the first.

    ``reply`` has opened it over ``connection``, and each further list of ``most`` documents is waited for ``await_ms``.
    """

    def __init__(
        self,
        database: "AsyncDatabase[Any]",
        checkout: Any,
        connection: Any,
        reply: Mapping[str, Any],
        most: int,
        await_ms: int,
    ) -> None:
        self._database = database
        self._checkout = checkout
        self._connection = connection
        self._id = Int64(reply["cursor"]["id"])
        self._collection = reply["cursor"]["ns"].partition(".")[2]
        self.is_open = True
        self.token = ""
        self._first = self._taken(reply, "firstBatch")
        self._asked = False
        get_more = {"getMore": self._id, "collection": self._collection, "batchSize": most}
        get_more |= {"maxTimeMS": await_ms, "$db": database.name}
        connection.add_server_api(get_more)
        body = bson.encode(get_more)
        self._question = _HEAD.pack(_HEAD.size + len(body), _REQUEST, 0, _OP_MSG, 0, 0) + body

    async def more(self) -> list[dict[str, Any]]:
        """Return the documents that MongoDB sends next, none where none came in time; raise PyMongoError, InvalidBSON.

        To be cancelled closes the connection.
        """
        if self._first:
            first, self._first = self._first, []
            return first
        if not self.is_open:
            return []
        try:
            await self.ask()
            reply = bson.decode(await self._answer(), self._database.codec_options)
            if not reply["ok"]:
                raise OperationFailure(reply.get("errmsg", ""), reply.get("code"), reply)
        except PyMongoError as error:
            self.is_open = False
            await self._checkout.handle(type(error), error)  # what it means for the server
            raise
        return self._taken(reply, "nextBatch")

    async def ask(self) -> None:
        """Let MongoDB find the next documents meanwhile; without it, `more` asks."""
        if self._asked or self._first or not self.is_open:
            return
        self._asked = True
        with suppress(OSError):  # `more` will see it too
            await self._connection.conn.get_conn.write(self._question)

    async def _answer(self) -> memoryview:
        """Return the document that answers; after a failure, which closes the connection, none can come too late."""
        protocol = self._connection.conn.get_conn
        try:
            async with asyncio.timeout(protocol.gettimeout):  # the client's socketTimeoutMS
                message, _ = await protocol.read(_REQUEST, self._connection.max_message_size)
        except BaseException as error:
            await self._connection._raise_connection_failure(error)  # noqa: SLF001 - closes it, and raises
            raise
        self._asked = False
        section: memoryview = memoryview(message)[_SECTION:]
        return section

    def _taken(self, reply: Mapping[str, Any], batch: str) -> list[dict[str, Any]]:
        cursor = reply["cursor"]
        self.is_open = cursor["id"] != 0
        if (token := cursor.get("postBatchResumeToken")) is not None:
            self.token = token["_data"]
        documents: list[dict[str, Any]] = cursor[batch]
        return documents

    async def kill(self) -> None:
        """Let MongoDB forget the cursor, over another connection: this one may be closed."""
        if self._asked:
            await self._connection.close_conn("error")  # the answer is not to be taken for that to somebody else
        if self.is_open:
            command = {"killCursors": self._collection, "cursors": [self._id]}
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(_KILL_SECONDS):
                    await self._database.command(command, read_preference=self._database.read_preference)


@asynccontextmanager
async def server_cursor(
    database: "AsyncDatabase[Any]", pipeline: Sequence[Mapping[str, Any]], most: int, await_ms: int
) -> AsyncIterator[ServerCursor]:
    """Open a cursor on the whole database meanwhile, to be read by at most ``most`` documents at once.

    A question is answered after ``await_ms`` at the latest. Documents are decoded as ``database`` says.
    Raise PyMongoError.
    """
    checkout = await database.client._conn_for_reads(database.read_preference, None, "aggregate")  # noqa: SLF001
    async with checkout as (connection, preference):
        reply = await connection.command(
            database.name,
            {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": most}},
            preference,
            database.codec_options,
            read_concern=database.read_concern,
            client=database.client,
        )
        cursor = ServerCursor(database, checkout, connection, reply, most, await_ms)
        cutting = asyncio.create_task(_cut_when_gone(connection))
        try:
            yield cursor
        finally:
            cutting.cancel()
            await cursor.kill()


async def _cut_when_gone(connection: Any) -> None:
    """Close the connection once the driver finds that its server is silent; to wait for the timeout takes longer."""
    while not connection.cancel_context.cancelled:  # noqa: ASYNC110 - the driver has nothing to wait for
        await asyncio.sleep(_LOOK_SECONDS)
    await connection.close_conn("error")
