"""Takes a connection over from PyMongo, to read replies without its overhead.

PyMongo opens the connection, with TLS and authentication. But its own read path (server and connection selection,
sessions, retries, listeners, two waiting tasks, two reads and a pause for each message) costs three times the CPU, and
a third of a millisecond of latency for each change. Errors are reported to PyMongo, and its monitor reports a silent
server. Checked against PyMongo 4.20; only the imported names are documented API. `condition_wait.py` and
`changing_member.py` use its internals, too, and no other file.
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
_REQUEST = 1  # any number will do: one request is in flight at a time, and a failure closes the connection
_WATCH_SECONDS = 0.5

T = TypeVar("T")


def _identity(document: memoryview) -> memoryview:
    return document


class MongoWire(asyncio.Protocol):
    """A dedicated connection for one request at a time; never pooled again, so no other caller gets a late reply."""

    def __init__(self, checkout: Any, connection: Any) -> None:
        self._checkout = checkout
        self._connection = connection
        self._driver = connection.conn.get_conn
        self._transport = cast("asyncio.Transport", self._driver.transport)
        self._reply: asyncio.Future[Any] | None = None
        self._consume: Callable[[memoryview], Any] = _identity  # until `receive` is waiting
        self._sent_at = 0.0
        self._parts: list[bytes] = []
        self._missing = _HEAD.size
        # The driver paused it after the last reply: its own buffers are empty.
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    def encode(self, command: Mapping[str, Any]) -> bytes:
        """Encode the command; uncompressed, so that the reply is, too."""
        command = dict(command)
        self._connection.add_server_api(command)
        body = bson.encode(command)
        return _HEAD.pack(_HEAD.size + len(body), _REQUEST, 0, _OP_MSG, 0, 0) + body

    def send(self, message: bytes) -> None:
        """Send a request; `receive` returns the reply, or raises the error, even of a closed connection."""
        self._reply = asyncio.get_running_loop().create_future()
        self._sent_at = monotonic()
        if self._transport.is_closing():
            self._reply.set_exception(OSError("the connection is closed"))
        else:
            self._transport.write(message)

    async def receive(self, consume: Callable[[memoryview], T]) -> T:
        """Return ``consume``'s result for the reply; it is called as soon as that arrives, before any task wakes up.

        Raise PyMongoError, or the error of ``consume``. An error or a cancellation closes the connection.
        """
        if self._reply is None:
            raise RuntimeError("nothing was sent")
        try:
            if self._reply.done():
                return consume(self._reply.result())
            self._consume = consume
            result: T = await self._reply
        except BaseException as error:
            await self._connection._raise_connection_failure(error)  # noqa: SLF001 - closes it, and raises
            raise
        finally:
            self._consume = _identity
        return result

    def leave(self) -> None:
        """Forget the request in flight: nobody waits for its reply any more."""
        if (answer := self._pending) is not None:
            answer.cancel()

    async def report(self, error: Exception) -> None:
        """Report an error to the driver, which updates its view of the server."""
        await self._checkout.handle(type(error), error)

    def data_received(self, data: bytes) -> None:
        """Assemble messages."""
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        message = data if len(self._parts) == 1 else b"".join(self._parts)
        length, _, response_to, opcode, flags, kind = _HEAD.unpack_from(message)
        answer = self._pending
        if answer is None or (response_to, opcode, flags, kind) != (_REQUEST, _OP_MSG, 0, 0):
            self._end(ProtocolError(f"not a reply to the request: {message[: _HEAD.size].hex()}"))
        elif len(message) < length <= self._connection.max_message_size:
            self._parts, self._missing = [message], length - len(message)
        elif len(message) != length:
            self._end(ProtocolError(f"a reply of {len(message)} bytes that claims {length}"))
        else:
            self._parts, self._missing = [], _HEAD.size
            # For this reply alone: if ``consume`` asks for the next, that may be here before the waiting task wakes up.
            consume, self._consume = self._consume, _identity
            try:
                answer.set_result(consume(memoryview(message)[_HEAD.size :]))
            except Exception as error:  # noqa: BLE001 - for the waiting caller, not for the event loop
                answer.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the request in flight, and notify the driver, which waits for the close."""
        self._driver.connection_lost(exc)
        self._end(OSError(f"the connection is closed: {exc or 'by MongoDB'}"))

    def _end(self, error: Exception) -> None:
        if (answer := self._pending) is not None:
            answer.set_exception(error)
        self._transport.abort()

    async def watch(self) -> None:
        """Close it when the driver finds the server silent, or when a reply is overdue (socketTimeoutMS)."""
        seconds = self._driver.gettimeout
        while not self._connection.cancel_context.cancelled:
            if seconds is not None and self._pending is not None and monotonic() - self._sent_at > seconds:
                self._end(TimeoutError("timed out"))
                return
            await asyncio.sleep(_WATCH_SECONDS)
        self._end(OSError("the driver gave the server up"))

    def on_watch_ended(self, watching: "asyncio.Task[None]") -> None:
        """Close it if the watch itself fails: a silent server would go unnoticed."""
        if not watching.cancelled() and (error := watching.exception()) is not None:
            self._end(OSError(f"the watch over the server failed: {error!r}"))

    @property
    def _pending(self) -> "asyncio.Future[Any] | None":
        """The reply in flight."""
        return None if self._reply is None or self._reply.done() else self._reply


@asynccontextmanager
async def mongo_wire(
    database: "AsyncDatabase[Any]", command: MutableMapping[str, Any]
) -> AsyncIterator[tuple[MongoWire, Mapping[str, Any]]]:
    """Run a read command; yield the connection and the reply.

    The reply is decoded with the codec options of ``database``. Raise PyMongoError.
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
            wire.leave()
            await connection.close_conn("error")
