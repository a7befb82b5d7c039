"""The supervisor, with small programs in place of the services: it restarts those that die and stops all in order."""

import asyncio
import io
import os
import signal
import sys

import pytest

from services.embedded.errors import EmbeddedError
from services.embedded.process import Process
from services.embedded.program import Program
from services.embedded.supervisor import Backoff, Supervisor
from services.embedded.terminal import Terminal
from tests.waiting import HANGS

QUICK = Backoff(first=0.01, longest=0.04, healthy_after=60)
# Prints a line when it runs, and one when it is told to stop.
OBEDIENT = """
import signal, sys, time
def stop(*_):
    print("stopping", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("running", flush=True)
while True:
    time.sleep(60)
"""


class Screen(io.StringIO):
    """A terminal that can be waited on."""

    def __init__(self) -> None:
        super().__init__()
        self._written = asyncio.Event()

    def flush(self) -> None:
        self._written.set()

    async def shows(self, text: str, times: int = 1) -> None:
        while self.getvalue().count(text) < times:
            self._written.clear()
            await self._written.wait()


def _program(name: str, code: str, screen: Screen) -> Program:
    return Program(name=name, argv=[sys.executable, "-c", code], env={}, terminal=Terminal(screen))


@pytest.mark.parametrize(
    ("last", "ran_for", "pause"),
    [(None, 0, 0.5), (0.5, 1, 1.0), (4.0, 1, 8.0), (8.0, 1, 10.0), (10.0, 1, 10.0), (10.0, 10.0, 0.5)],
)
def test_the_pause_doubles_up_to_a_bound_and_a_healthy_run_resets_it(
    last: float | None, ran_for: float, pause: float
) -> None:
    assert Backoff().next(last, ran_for) == pause


async def test_a_program_that_ends_is_reported_and_started_again() -> None:
    screen = Screen()
    async with Supervisor(Terminal(screen).say_as("run"), QUICK) as supervisor:
        await supervisor.keep(_program("watcher", "print('here'); raise SystemExit(3)", screen))
        await screen.shows("watcher  | here", times=3)
    assert "run      | watcher ended with code 3; starting it again in 0.01 s" in screen.getvalue()
    assert "starting it again in 0.02 s" in screen.getvalue()


async def test_a_program_that_is_killed_is_started_again() -> None:
    screen = Screen()
    program = _program("watcher", OBEDIENT, screen)
    async with Supervisor(Terminal(screen).say_as("run"), QUICK) as supervisor:
        await supervisor.keep(program)
        await screen.shows("watcher  | running")
        os.kill(program.pid, signal.SIGKILL)
        await screen.shows("watcher  | running", times=2)
    assert "watcher was killed by SIGKILL" in screen.getvalue()


async def test_programs_stop_in_the_opposite_order_of_their_start() -> None:
    screen = Screen()
    async with Supervisor(Terminal(screen).say_as("run"), QUICK) as supervisor:
        for name in ("watcher", "gateway"):
            await supervisor.keep(_program(name, OBEDIENT, screen))
        await screen.shows("running", times=2)
    assert screen.getvalue().splitlines()[-2:] == ["gateway  | stopping", "watcher  | stopping"]
    assert "starting it again" not in screen.getvalue()


async def test_a_program_that_cannot_be_started_is_named() -> None:
    screen = Screen()
    program = Program(name="watcher", argv=["/nowhere/program"], env={}, terminal=Terminal(screen))
    with pytest.raises(EmbeddedError, match="/nowhere/program cannot be started: No such file"):
        async with Supervisor(Terminal(screen).say_as("run"), QUICK) as supervisor:
            await supervisor.keep(program)


async def test_a_child_that_ignores_sigterm_is_killed_in_the_end() -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    process = await Process.start([sys.executable, "-c", code], log=None)
    assert await process.output.readline() == b"deaf\n"
    assert await process.stop(grace=0.2) == -signal.SIGKILL


async def test_children_die_with_a_parent_that_is_killed() -> None:
    parent_code = """
import asyncio, sys
from services.embedded.process import Process
async def main():
    child = await Process.start([sys.executable, "-c", "import time; time.sleep(600)"], log=None)
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""
    parent = await Process.start([sys.executable, "-c", parent_code], log=None)
    child = os.pidfd_open(int(await parent.output.readline()))
    try:
        await parent.kill()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(child, ended.set)  # a pidfd is readable when its process has ended
        await asyncio.wait_for(ended.wait(), HANGS)
        asyncio.get_running_loop().remove_reader(child)
    finally:
        os.close(child)
