"""The unsent bytes of all clients together are bounded: those of the account with the most are cut."""

import asyncio
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.unsent import Unsent


@dataclass(eq=False)
class Client:
    """A connection for which something waits; that it was cut shows the budget at once, or never."""

    unsent: Unsent
    name: str = ""
    ended: list[str] = field(default_factory=list)
    account: str = "192.0.2.1"

    def cut(self) -> None:
        self.unsent.hold(self, 5)  # a last word, as a closing handshake would say it
        self.ended.append(self.name)


@pytest.fixture
def counted() -> list[IncidentKind]:
    return []


@pytest.fixture
def unsent(counted: list[IncidentKind]) -> Unsent:
    return Unsent(1000, counted.append)


async def turn() -> None:
    """Let calls that were deferred to the loop's next turn run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def crowd(unsent: Unsent, count: int) -> tuple[list[Client], list[str]]:
    ended: list[str] = []
    return [Client(unsent, f"{number}", ended) for number in range(count)], ended


async def test_those_that_are_slow_for_longest_are_cut_until_the_rest_is_within_the_bound(
    unsent: Unsent, counted: list[IncidentKind]
) -> None:
    clients, ended = crowd(unsent, 6)
    for client in clients:
        unsent.hold(client, 240)
    assert ended == [], "never from within the fan-out"
    await turn()
    assert ended == ["0", "1", "2"], "with some to spare, for the next ones"
    assert counted == [IncidentKind.SLOW_CONSUMER] * 3
    assert (unsent.bytes, len(unsent)) == (720, 3)


async def test_the_account_with_the_most_is_cut_although_others_have_been_slow_for_longer(unsent: Unsent) -> None:
    clients, ended = crowd(unsent, 6)
    for client in clients[:2]:
        client.account = "203.0.113.7"
        unsent.hold(client, 150)
    for client in clients[2:]:
        unsent.hold(client, 200)
    await turn()
    assert ended == ["2", "3"]
    assert (unsent.bytes, len(unsent)) == (700, 4)


async def test_an_account_pays_only_until_another_has_as_much(unsent: Unsent) -> None:
    clients, ended = crowd(unsent, 6)
    for client in clients[:3]:
        client.account = "203.0.113.7"
    for client in clients:
        unsent.hold(client, 300)
    await turn()
    assert sorted(ended) == ["0", "1", "3", "4"]


async def test_a_client_that_takes_everything_counts_no_longer_and_not_as_slow_for_longest(unsent: Unsent) -> None:
    clients, ended = crowd(unsent, 3)
    for client in clients[:2]:
        unsent.hold(client, 400)
    unsent.release(clients[0])
    unsent.release(clients[0])
    unsent.hold(clients[0], 400)
    assert unsent.bytes == 800
    unsent.hold(clients[2], 400)
    await turn()
    assert ended == ["1"]


async def test_one_clients_unsent_bytes_are_counted_as_they_are_now(unsent: Unsent) -> None:
    (client,), ended = crowd(unsent, 1)
    for waiting in (900, 950, 300, 700):
        unsent.hold(client, waiting)
    await turn()
    assert (unsent.bytes, ended) == (700, [])


async def test_a_buffer_that_many_wait_for_is_counted_once_and_as_a_whole(unsent: Unsent) -> None:
    clients, ended = crowd(unsent, 50)
    whole = memoryview(bytes(600))
    for client in clients:
        unsent.hold(client, 200, whole[400:])
    assert unsent.bytes == 600
    unsent.hold(clients[0], 230, b"x" * 30)  # more of its own
    assert unsent.bytes == 630
    unsent.hold(clients[0], 20, b"y" * 20)  # by then most of the buffer has gone
    assert unsent.bytes == 600
    for client in clients[1:]:
        unsent.release(client)
    assert unsent.bytes == 600
    unsent.release(clients[0])
    await turn()
    assert (unsent.bytes, len(unsent), ended) == (0, 0, [])


async def test_it_is_logged_when_it_begins_and_when_it_is_over_and_not_in_between(unsent: Unsent) -> None:
    clients, _ = crowd(unsent, 20)
    with capture_logs() as logged:
        for client in clients:
            unsent.hold(client, 300)
            await turn()
        for client in clients:
            unsent.release(client)
    assert [(entry["log_level"], entry["event"].split(",")[0]) for entry in logged] == [
        ("warning", "Too many unsent bytes"),
        ("info", "Unsent bytes are within their limit again"),
    ]
