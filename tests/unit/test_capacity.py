"""How many connections and clients there are places for, with the descriptors that the system allows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (
    "from services.gateway.edge.capacity import capacity; import resource; print(*capacity({}), *resource.getrlimit(7))"
)
OPERATORS = (
    "from services.internal.serving import few_connections; import resource;"
    "print(few_connections(print).bounds.last_descriptor, *resource.getrlimit(7))"
)


def capacity_of(clients: int, limits: str) -> list[int]:
    """Return clients, connections, last descriptor, and the limits afterwards, in a process with such limits."""
    return printed(SCRIPT.format(clients), limits)


def printed(script: str, limits: str) -> list[int]:
    command = ["sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, "-c", script]
    return [int(word) for word in subprocess.check_output(command, cwd=ROOT, text=True).split()]


def test_the_limit_is_raised_as_far_as_is_needed_and_no_further() -> None:
    clients, connections, last, soft, hard = capacity_of(2000, "ulimit -Sn 256; ulimit -Hn 4096")
    assert (clients, connections) == (2000, 2256)
    assert connections < last < soft == 2384 < hard


def test_a_limit_that_is_high_enough_is_left_alone() -> None:
    assert capacity_of(100, "ulimit -n 1000")[3] == 1000


@pytest.mark.parametrize("limit", [16, 64, 256, 1024])
def test_where_too_few_are_allowed_clients_leave_some_connections_and_connections_some_descriptors(limit: int) -> None:
    clients, connections, last, soft, _ = capacity_of(10_000, f"ulimit -n {limit}")
    assert soft == limit
    assert clients < connections < last < limit
    assert clients > limit / 3


def test_the_watcher_whose_only_port_is_the_operators_raises_its_limit_too() -> None:
    last, soft, hard = printed(OPERATORS, "ulimit -Sn 128; ulimit -Hn 4096")
    assert 64 < last < soft == 320 < hard


def test_where_the_watcher_may_not_raise_it_its_connections_leave_some_descriptors() -> None:
    last, soft, _ = printed(OPERATORS, "ulimit -n 128")
    assert last < soft == 128
