"""Takes a connection over from PyMongo, so that an answer is there once its bytes are; it alone knows PyMongo's inside.

PyMongo opens it: it knows about TLS and passwords. But its own way to an answer (choosing a server and a connection, a
session, retries, listeners, two tasks that wait, two reads and a pause for each message) costs three times the CPU, and
a third of a millisecond for each change on its way to the browser. PyMongo is told of errors, and tells of a server
that is silent. Checked against PyMongo 4.20; of what is used here, only what is imported is documented.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar, cast

import bson
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ProtocolError

# A message of MongoDB's wire protocol: length, request, response to, opcode; in OP_MSG then flags, and the kind of the
# only section, which is a document.
_HEAD = struct.Struct("<iiiiIB")
_OP_MSG = 2013
_REQUEST = 1  # any number does: there is only ever one question, and after a failure the connection is closed
_WATCH_SECONDS = 0.5

T = TypeVar("T")


def _identity(document: memoryview) -> memoryview:
    return document


class MongoWire(asyncio.Protocol):
    """One connection of its own, for one question at a time. It is never given back: nobody else gets a late answer."""

    def __init__(self, checkout: Any, connection: Any) -> None:
        self._checkout = checkout
        self._connection = connection
        self._driver = connection.conn.get_conn
        self._transport = cast("asyncio.Transport", self._driver.transport)
        self._reply: asyncio.Future[Any] | None = None
        self._consume: Callable[[memoryview], Any] = _identity  # unless somebody waits for the answer
        self._sent_at = 0.0
        self._parts: list[bytes] = []
        self._missing = _HEAD.size
        # It was paused behind the last answer: nothing is in the driver's own buffers.
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    def encode(self, command: Mapping[str, Any]) -> bytes:
        """Return the command as it crosses the network; uncompressed, so that its answer will be too."""
        command = dict(command)
        self._connection.add_server_api(command)
        body = bson.encode(command)
        return _HEAD.pack(_HEAD.size + len(body), _REQUEST, 0, _OP_MSG, 0, 0) + body

    def send(self, message: bytes) -> None:
        """Send it. What becomes of it, `receive` tells, even where the connection is over."""
        self._reply = asyncio.get_running_loop().create_future()
        self._sent_at = monotonic()
        if self._transport.is_closing():
            self._reply.set_exception(OSError("the connection is closed"))
        else:
            self._transport.write(message)

    async def receive(self, consume: Callable[[memoryview], T]) -> T:
        """Return what ``consume`` makes of the reply; it is called as soon as that is there, before any task wakes up.

        Raise PyMongoError, or what ``consume`` raises. That or to be cancelled closes the connection.
        """
        if self._reply is None:
            raise RuntimeError("nothing was asked")
        try:
            if self._reply.done():
                return consume(self._reply.result())
            self._consume = consume
            taken: T = await self._reply
        except BaseException as error:
            await self._connection._raise_connection_failure(error)  # noqa: SLF001 - closes it, and raises
            raise
        finally:
            self._consume = _identity
        return taken

    async def report(self, error: Exception) -> None:
        """Let the driver know what an error means for the server."""
        await self._checkout.handle(type(error), error)

    def data_received(self, data: bytes) -> None:
        """Put together what belongs together."""
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        message = data if len(self._parts) == 1 else b"".join(self._parts)
        length, _, response_to, opcode, flags, kind = _HEAD.unpack_from(message)
        answer = self._pending
        if answer is None or (response_to, opcode, flags, kind) != (_REQUEST, _OP_MSG, 0, 0):
            self._end(ProtocolError(f"no answer to what was asked: {message[: _HEAD.size].hex()}"))
        elif len(message) < length <= self._connection.max_message_size:
            self._parts, self._missing = [message], length - len(message)
        elif len(message) != length:
            self._end(ProtocolError(f"an answer of {len(message)} bytes that says it has {length}"))
        else:
            self._parts, self._missing = [], _HEAD.size
            # For this reply alone: if ``consume`` asks for the next, that may be here before the waiting task wakes up.
            consume, self._consume = self._consume, _identity
            try:
                answer.set_result(consume(memoryview(message)[_HEAD.size :]))
            except Exception as error:  # noqa: BLE001 - whoever waits is to know it, not the event loop
                answer.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so, to the driver too, which waits for it to close."""
        self._driver.connection_lost(exc)
        self._end(OSError(f"the connection is closed: {exc or 'by MongoDB'}"))

    def _end(self, error: Exception) -> None:
        if (answer := self._pending) is not None:
            answer.set_exception(error)
        self._transport.abort()

    async def watch(self) -> None:
        """End it once the driver finds that the server is silent, or when an answer is overdue (socketTimeoutMS)."""
        seconds = self._driver.gettimeout
        while not self._connection.cancel_context.cancelled:
            if seconds is not None and self._pending is not None and monotonic() - self._sent_at > seconds:
                self._end(TimeoutError("timed out"))
                return
            await asyncio.sleep(_WATCH_SECONDS)
        self._end(OSError("the server was given up"))

    def on_watch_ended(self, watching: "asyncio.Task[None]") -> None:
        """End it where the watch itself fails: nobody would find out that the server is silent."""
        if not watching.cancelled() and (error := watching.exception()) is not None:
            self._end(OSError(f"the watch over the server failed: {error!r}"))

    @property
    def _pending(self) -> "asyncio.Future[Any] | None":
        """The answer that is still to come."""
        return None if self._reply is None or self._reply.done() else self._reply


@asynccontextmanager
async def mongo_wire(
    database: "AsyncDatabase[Any]", command: MutableMapping[str, Any]
) -> AsyncIterator[tuple[MongoWire, Mapping[str, Any]]]:
    """Run a command that reads, and give its reply and the connection to the server that sent it.

    Replies are decoded as ``database`` says. Raise PyMongoError.
    """
    checkout = await database.client._conn_for_reads(database.read_preference, None, next(iter(command)))  # noqa: SLF001
    async with checkout as (connection, preference):
        reply = await connection.command(
            database.name,
            command,
            preference,
            database.codec_options,
            read_concern=database.read_concern,
            client=database.client,
        )
        wire = MongoWire(checkout, connection)
        watching = asyncio.create_task(wire.watch())
        watching.add_done_callback(wire.on_watch_ended)
        try:
            yield wire, reply
        finally:
            watching.cancel()
            await connection.close_conn("error")
