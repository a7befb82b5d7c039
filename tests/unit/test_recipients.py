"""Bytes sent past the transports reach every client whole and in order, also those that take only a part."""

import asyncio
import shutil
import socket
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.gateway.edge.descriptor import unbuffered_descriptor
from services.gateway.recipients import LIBRARY, Recipients, SendToEach, send_in_python, sender_in_c

ROOT = Path(__file__).resolve().parents[2]
BUFFER = 16_384
DATA = bytes(range(256)) * 20  # with bytes that would end a string in C


@pytest.fixture(params=["in Python", "in C"])
def send_to_each(request: pytest.FixtureRequest) -> SendToEach:
    if request.param == "in Python":
        return send_in_python
    if shutil.which("cc") is None:
        pytest.skip("no C compiler, so it was not built")
    return sender_in_c(LIBRARY)


@dataclass
class Pair:
    """A connection: our end, which never waits and holds little, and the client's."""

    ours: socket.socket
    client: socket.socket

    def read(self, size: int) -> bytes:
        return self.client.recv(size, socket.MSG_WAITALL)

    def fill(self) -> None:
        """Send until nothing more is taken."""
        with suppress(BlockingIOError):
            while True:
                self.ours.send(DATA)


@pytest.fixture
def connect() -> Iterator[Callable[[], Pair]]:
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)

        def connected() -> Pair:
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            client.connect(server.getsockname())
            ours = stack.enter_context(server.accept()[0])
            ours.setblocking(False)
            return Pair(ours, client)

        yield connected


def descriptors(pairs: list[Pair]) -> "array[int]":
    return array("i", [pair.ours.fileno() for pair in pairs])


def test_each_takes_all(send_to_each: SendToEach, connect: Callable[[], Pair]) -> None:
    pairs = [connect() for _ in range(3)]
    assert send_to_each(descriptors(pairs), 0, DATA)[0] == 3
    assert [pair.read(len(DATA)) for pair in pairs] == [DATA] * 3


def test_it_begins_at_the_given_index(send_to_each: SendToEach, connect: Callable[[], Pair]) -> None:
    pairs = [connect() for _ in range(3)]
    assert send_to_each(descriptors(pairs), 2, b"late")[0] == 3
    assert send_to_each(descriptors(pairs), 3, b"nobody")[0] == 3
    assert send_to_each(descriptors(pairs), 0, b"all")[0] == 3
    assert [pair.client.recv(100) for pair in pairs] == [b"all", b"all", b"lateall"]


def test_one_that_is_full_stops_it(send_to_each: SendToEach, connect: Callable[[], Pair]) -> None:
    pairs = [connect() for _ in range(3)]
    pairs[1].fill()
    assert send_to_each(descriptors(pairs), 0, DATA) == (1, 0)
    assert pairs[0].read(len(DATA)) == DATA
    assert send_to_each(descriptors(pairs), 2, DATA)[0] == 3


def test_a_partial_send_stops_it_and_the_part_is_reported(
    send_to_each: SendToEach, connect: Callable[[], Pair]
) -> None:
    pair = connect()
    size = 4_000_000  # more than both kernels' ends hold together
    stopped, taken = send_to_each(descriptors([pair]), 0, bytes(size))
    assert stopped == 0
    assert 0 < taken < size
    pair.ours.close()
    received = 0
    while got := pair.client.recv(1 << 16):
        received += len(got)
    assert received == taken


def test_one_that_has_gone_stops_it_and_took_nothing(send_to_each: SendToEach, connect: Callable[[], Pair]) -> None:
    pairs = [connect() for _ in range(2)]
    pairs[0].ours.shutdown(socket.SHUT_WR)  # sending now fails as it does when the client has gone
    assert send_to_each(descriptors(pairs), 0, DATA) == (0, 0)
    assert send_to_each(descriptors(pairs), 1, DATA)[0] == 2


def unexpected(client: str, error: Exception) -> None:
    raise AssertionError(f"{client} failed") from error


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler, so it was not built")
def test_one_that_has_gone_does_not_end_the_process_where_signals_are_as_the_system_has_them() -> None:
    """Python ignores SIGPIPE; a program that embeds or wraps it may not."""
    script = (
        "import signal, socket; from array import array; from services.gateway.recipients import LIBRARY, sender_in_c\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "ours, client = socket.socketpair(); client.close()\n"
        "assert sender_in_c(LIBRARY)(array('i', [ours.fileno()]), 0, b'x') == (0, 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


class Connection(asyncio.Protocol):
    """A connection as the transports have it, that is told when it is full."""

    def __init__(self) -> None:
        self.paused = asyncio.Event()
        self.resumed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.write = transport.write
        self.descriptor = unbuffered_descriptor(transport)

    def pause_writing(self) -> None:
        self.paused.set()

    def resume_writing(self) -> None:
        self.resumed.set()


async def test_a_client_that_takes_a_part_gets_the_rest_before_anything_else(connect: Callable[[], Pair]) -> None:
    pair = connect()
    transport, connection = await asyncio.get_running_loop().connect_accepted_socket(Connection, pair.ours)
    recipients = Recipients([("it", connection.write, connection.descriptor)])
    sent = received = b""
    while not connection.paused.is_set():
        message = bytes([len(sent) % 251]) * 50_000  # the rest of it is less than transports buffer without a word
        recipients.write(message, unexpected)
        sent += message
        received += pair.client.recv(10_000)
    assert transport.get_write_buffer_size() < 50_000
    received += await asyncio.to_thread(pair.read, len(sent) - len(received))
    assert received == sent
    await connection.resumed.wait()
    recipients.write(b"more", unexpected)
    assert pair.client.recv(100) == b"more"
    transport.abort()


async def test_the_others_do_not_wait_for_a_client_that_takes_nothing(connect: Callable[[], Pair]) -> None:
    loop = asyncio.get_running_loop()
    pairs = [connect() for _ in range(3)]
    made = [await loop.connect_accepted_socket(Connection, pair.ours) for pair in pairs]
    buffered: list[bytes | memoryview] = []
    recipients = Recipients(
        [("polling", buffered.append, None), *[("websocket", each.write, each.descriptor) for _, each in made]]
    )
    assert len(recipients) == 4
    pairs[1].fill()
    recipients.write(DATA, unexpected)
    assert made[1][1].paused.is_set()
    assert buffered == [DATA]
    assert [pairs[0].read(len(DATA)), pairs[2].read(len(DATA))] == [DATA] * 2
    for transport, _ in made:
        transport.abort()


async def test_one_whose_client_has_gone_costs_the_others_nothing(connect: Callable[[], Pair]) -> None:
    loop = asyncio.get_running_loop()
    pairs = [connect() for _ in range(2)]
    made = [await loop.connect_accepted_socket(Connection, pair.ours) for pair in pairs]
    recipients = Recipients([("it", each.write, each.descriptor) for _, each in made])
    pairs[0].ours.shutdown(socket.SHUT_WR)
    recipients.write(DATA, unexpected)
    assert pairs[1].read(len(DATA)) == DATA
    for transport, _ in made:
        transport.abort()


async def test_one_whose_own_way_fails_is_named_and_the_others_get_theirs(connect: Callable[[], Pair]) -> None:
    def broken(_: bytes | memoryview) -> None:
        raise RuntimeError("broken")

    loop = asyncio.get_running_loop()
    pairs = [connect() for _ in range(3)]
    made = [await loop.connect_accepted_socket(Connection, pair.ours) for pair in pairs]
    clients = [(str(number), each.write, each.descriptor) for number, (_, each) in enumerate(made)]
    pairs[1].fill()
    failed: list[tuple[str, str]] = []
    recipients = Recipients([("polling", broken, None), clients[0], ("full", broken, clients[1][2]), clients[2]])
    recipients.write(DATA, lambda client, error: failed.append((client, str(error))))
    assert failed == [("polling", "broken"), ("full", "broken")]
    assert [pairs[0].read(len(DATA)), pairs[2].read(len(DATA))] == [DATA] * 2
    for transport, _ in made:
        transport.abort()
