"""Services and commands as children of the fork server (tests/fork_server.py), which has imported them already."""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from services.embedded.errors import EmbeddedError
from services.embedded.process import Process
from tests.service_process import ROOT, ServiceProcess
from tests.waiting import HANGS

_POLL_SECONDS = 0.005


class ForkedService(ServiceProcess):
    """A service that starts in a tenth of the time, where nobody asks how long a start takes.

    It does not even start an interpreter: what a subclass would do in `argv` needs a `ServiceProcess`.
    """

    async def spawn(self) -> Process:
        if sys.platform != "linux":
            return await super().spawn()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.env()}
        asked = request(f"services.{self.service}", [], environment, self.cwd(), self.descriptors)
        with self.log.open("ab") as output:
            return await asyncio.to_thread(fork_server().fork, asked, output.fileno())


def request(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, descriptors: int | None = None
) -> dict[str, Any]:
    """Return what the fork server is to be asked for."""
    return {
        "module": module,
        "arguments": [*arguments],
        "environment": dict(environment),
        "cwd": str(cwd),
        "descriptors": descriptors,
    }


class Ended(NamedTuple):
    """A command after its end: its exit code, and all that it has written."""

    code: int
    output: str


async def run_forked(module: str, *arguments: str, cwd: Path, environment: Mapping[str, str], seconds: float) -> Ended:
    """Run a module as `python -m` would, to its end; kill it after so many seconds, or where we are cancelled."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with tempfile.TemporaryFile() as output:
        if sys.platform == "linux":
            asked = request(module, arguments, settings, cwd)
            process = await asyncio.to_thread(fork_server().fork, asked, output.fileno())
            try:
                async with asyncio.timeout(seconds):
                    code = await process.wait()
            finally:
                await process.kill()
        else:
            command = [sys.executable, "-m", module, *arguments]
            done = await asyncio.to_thread(
                partial(subprocess.run, command, cwd=cwd, env=settings, stdout=output, stderr=output, timeout=seconds)
            )
            code = done.returncode
        output.seek(0)
        return Ended(code, output.read().decode(errors="replace"))


class ForkedProcess(Process):
    """One run of a program. Its end can be awaited in any event loop."""

    def __init__(self, pid: int, ended: int) -> None:
        self._pid = pid
        self._ended = ended
        self._code: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        if self._code is None:
            with suppress(BlockingIOError):
                # Empty if the server is gone, and then its children are, too.
                self._code = int(os.read(self._ended, 16) or -signal.SIGKILL)
                os.close(self._ended)
        return self._code

    @property
    def output(self) -> asyncio.StreamReader:
        raise RuntimeError("this process writes to its log")

    def send(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    async def wait(self) -> int:
        while (code := self.returncode) is None:  # noqa: ASYNC110  # it may have been started in another loop
            await asyncio.sleep(_POLL_SECONDS)
        return code


class ForkServer:
    """The fork server of this process; it ends with us."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as we are
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )

    def close(self) -> None:
        """End it, and with it all services."""
        self._requests.close()
        self._process.wait(timeout=HANGS)
        self._errors.close()

    def fork(self, request: Mapping[str, Any], output: int) -> ForkedProcess:
        """Start a program; block for some milliseconds, the first time as long as its imports take."""
        ended, write_end = os.pipe()
        os.set_blocking(ended, False)
        with os.fdopen(write_end, "wb"), self._turn:
            socket.send_fds(self._requests, [json.dumps(request).encode()], [output, write_end])
            answer = self._requests.recv(16)
        if not answer:
            self._errors.seek(0)
            raise EmbeddedError(f"The fork server has ended: {self._errors.read().decode(errors='replace')}")
        return ForkedProcess(int(answer), ended)


@cache
def fork_server() -> ForkServer:
    """Return the only one, started when it is first wanted."""
    server = ForkServer()
    atexit.register(server.close)
    return server
