"""The bench attacks with attackers that there are, as strangers: from addresses that nobody else has."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench import network
from bench.attacks import NEIGHBOURS, SPINNING, attacking, neighbour, only_from
from bench.dialogue import Dialogue
from bench.measure.bystander import ATTACKERS, NO_STRANGERS, QUICK, measure
from bench.plan import Plan
from bench.stage import Stage
from services.gateway.edge.peer import Peers
from tests.abuse.attackers import EVERY
from tests.abuse.attackers.attacker import Target
from tests.abuse.attackers.wire import wire
from tests.waiting import HANGS, cancel_all, until

BYSTANDER, STRANGER, OTHER, NEIGHBOUR = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127/8 as the machine's own")


def connected() -> set[str]:
    """Return the addresses of IPv4 from which anybody is, or was lately, connected to this machine."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {socket.inet_ntoa(bytes.fromhex(row.split()[2][:8])[::-1]) for row in rows}


@asynccontextmanager
async def listening(heard: asyncio.Event | None = None) -> AsyncIterator[tuple[int, asyncio.Queue[str]]]:
    """Accept connections, read what comes and answer nothing; the queue has the clients' addresses.

    ``heard`` is set once somebody has sent something.
    """
    clients: asyncio.Queue[str] = asyncio.Queue()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            clients.put_nowait(transport.get_extra_info("peername")[0])

        def data_received(self, data: bytes) -> None:  # noqa: ARG002
            if heard is not None:
                heard.set()

    async with await asyncio.get_running_loop().create_server(Accepted, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], clients


def test_every_attacker_of_the_bench_is_one_of_the_abuse_suite() -> None:
    assert {*ATTACKERS, *QUICK} <= EVERY.keys()


def test_a_stranger_has_an_address_of_his_own_that_the_limits_are_meant_for() -> None:
    strangers = [network.stranger(number) for number in range(1000)]
    assert len({*strangers, network.SERVER, network.CLIENT}) == 1002
    assert not any(map(Peers().is_crowd, [*strangers, network.CLIENT]))


@on_linux
@pytest.mark.parametrize("name", EVERY)
async def test_an_attacker_connects_from_the_address_that_it_is_given(name: str) -> None:
    async with listening() as (port, clients):
        target = Target(port, port, since="1.2-3", source=STRANGER)
        attack = asyncio.ensure_future(EVERY[name].run(target, Counter()))
        try:
            async with asyncio.timeout(HANGS):
                assert await clients.get() == STRANGER
        finally:
            await cancel_all(attack)
        assert {clients.get_nowait() for _ in range(clients.qsize())} <= {STRANGER}


async def test_an_attacker_without_its_address_does_not_connect_from_another() -> None:
    async with listening() as (port, clients):
        with pytest.raises(OSError, match="assign"):
            async with wire(Target(port, port, since="", source="192.0.2.1"), Counter()):
                pass
        assert clients.empty()


@on_linux
async def test_the_process_of_an_attacker_connects_from_the_address_that_it_is_given() -> None:
    heard = asyncio.Event()
    async with (
        listening(heard) as (port, clients),
        attacking(f"http://127.0.0.1:{port}", "ping-flood", "1.2-3", STRANGER),
        asyncio.timeout(HANGS),
    ):
        await heard.wait()
        assert await clients.get() == STRANGER


@on_linux
@pytest.mark.parametrize("name", NEIGHBOURS)
async def test_a_neighbour_keeps_the_machine_busy_and_leaves_the_servers_alone(name: str) -> None:
    async with listening() as (_, clients), neighbour(name, "127.0.0.1", NEIGHBOUR):
        await until(lambda: name == SPINNING or NEIGHBOUR in connected(), "it is busy")
    assert clients.empty()


async def test_an_attacker_that_never_got_a_connection_makes_the_measure_an_error() -> None:
    async with listening() as (port, clients):
        with pytest.raises(RuntimeError, match="never got a connection"):
            async with attacking(f"http://127.0.0.1:{port}", "ping-flood", "1.2-3", source="192.0.2.1"):
                pass
        assert clients.empty()


@on_linux
@pytest.mark.parametrize(
    ("sources", "wrong"),
    [
        ([BYSTANDER, STRANGER], False),
        ([BYSTANDER, STRANGER, OTHER], True),
    ],
    ids=["from these", "from another too"],
)
async def test_clients_from_other_addresses_make_the_measure_an_error(sources: list[str], wrong: bool) -> None:
    async with listening() as (port, clients):
        opened = [await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)) for source in sources]
        await until(lambda: clients.qsize() == len(sources), "all are connected")
        try:
            if wrong:
                with pytest.raises(RuntimeError, match="clients came from"):
                    async with only_from({BYSTANDER, STRANGER}, port):
                        await asyncio.sleep(0)
            else:
                async with only_from({BYSTANDER, STRANGER}, port):
                    await asyncio.sleep(0)
        finally:
            for _, writer in opened:
                writer.close()


async def test_without_addresses_of_its_own_the_bench_says_that_it_does_not_measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BENCH_OWN_NETWORK", raising=False)
    told: list[str] = []
    unused = Stage("", "", tmp_path, Dialogue(()), Dialogue(()), pinned=False)
    section = await measure(unused, Plan(1, quick=True, progress=told.append))
    assert section.notes[-1] == NO_STRANGERS
    assert not section.rows
    assert not section.verdicts
    assert NO_STRANGERS in told[0]
