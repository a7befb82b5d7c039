"""A forked service is a process like any other."""

import os
import resource
import signal
from pathlib import Path

import pytest

from services.embedded.ports import free_port
from tests.conftest import RunService
from tests.forked_process import ForkedService, ForkServer, request, run_forked
from tests.waiting import HANGS, until

NOWHERE = {"MONGODB_URI": "mongodb://127.0.0.1:1/orders", "REDIS_URL": "redis://127.0.0.1:1"}


async def test_its_settings_are_its_own_and_its_exit_code_is_known(run_service: RunService) -> None:
    wrong = await run_service("gateway", {**NOWHERE, "PORT": "many", "STALE_SECONDS": "soon"}, wait=False)
    assert await wrong.wait() == 2
    assert "STALE_SECONDS" in wrong.output
    right = await run_service("gateway", NOWHERE, wait=False)
    await until(lambda: right.status("/healthz"), "it runs")
    await right.stop()
    assert await right.wait() == 0


async def test_it_can_be_frozen_killed_and_started_again(run_service: RunService) -> None:
    watcher = await run_service("watcher", NOWHERE, wait=False)
    await until(lambda: watcher.status("/healthz"), "it runs")
    watcher.pause()
    stopped = Path(f"/proc/{watcher.pid}/stat")
    await until(lambda: stopped.read_text("ascii").rpartition(")")[2].split()[0] == "T", "it is frozen")
    await watcher.kill()
    assert await watcher.wait() == -signal.SIGKILL
    await watcher.launch()
    await until(lambda: watcher.status("/healthz"), "it runs again")


async def test_a_command_has_its_arguments_and_its_end_and_output_are_known(tmp_path: Path) -> None:
    ended = await run_forked("json.tool", "--help", cwd=tmp_path, environment={}, seconds=HANGS)
    assert ended.code == 0
    assert "usage: " in ended.output
    ended = await run_forked("json.tool", "missing.json", cwd=tmp_path, environment={}, seconds=HANGS)
    assert ended.code == 2
    assert "missing.json" in ended.output
    with pytest.raises(TimeoutError):
        await run_forked("services.watcher", cwd=tmp_path, environment=NOWHERE, seconds=0.1)


async def test_it_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    watcher = ForkedService(service="watcher", port=free_port(), folder=tmp_path, settings={})
    environment = {**os.environ, **watcher.env(), **NOWHERE, "WATCHER_PORT": str(watcher.port)}
    server = ForkServer()
    with (tmp_path / "log").open("wb") as log:
        running = server.fork(request("services.watcher", [], environment, tmp_path, 500), log.fileno())
    await until(lambda: watcher.status("/healthz"), "it runs")
    assert resource.prlimit(running.pid, resource.RLIMIT_NOFILE) == (500, 500)
    server.close()
    await until(lambda: not Path(f"/proc/{running.pid}").exists(), "it has ended")
    assert await running.wait() == -signal.SIGKILL
