"""Runs servers in containers by Docker's command line, on machines without a wheel of the server."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from services.embedded.errors import EmbeddedError
from services.embedded.process import Process

_PATIENCE = 30.0  # seconds; a Docker engine that has just started is slow


def missing() -> str | None:
    """Return None if Docker can be used, else the problem."""
    try:
        _security_options()
    except FileNotFoundError:
        return "there is no Docker"
    except (OSError, subprocess.SubprocessError, ValueError):
        return "Docker does not answer"
    return None


def run_command(image: str, program: str, folder: Path, port: int) -> list[str]:
    """Return the start of a command line, to be followed by the arguments of the program in the container.

    The folder and the port are the same inside as outside: the same arguments then fit both, and a mongod finds itself
    under the address that its clients use.
    """
    place = folder.resolve()
    return [
        *("docker", "run", "--rm", "--cidfile", str(_id_file(folder))),
        *("--publish", f"127.0.0.1:{port}:{port}", "--volume", f"{place}:{place}"),
        # Our user, or `make clean` could not remove the files.
        *(() if _is_rootless() else ("--user", f"{os.getuid()}:{os.getgid()}")),
        *("--entrypoint", program, image),
    ]


async def fetch(image: str) -> None:
    """Pull the image if it is not on this machine yet."""
    if (await _docker("image", "inspect", image))[0] != 0:
        code, output = await _docker("pull", "--quiet", image)
        if code != 0:
            raise EmbeddedError(
                f"Docker cannot pull {image}: {output.splitlines()[-1] if output else 'it gives no reason'}"
            )


async def remove_leftover(folder: Path) -> None:
    """Remove the container that still uses `folder`: its `docker run` was killed, and could not stop it."""
    file = _id_file(folder)
    if file.exists():
        await _docker("rm", "--force", file.read_text(encoding="ascii"))
        file.unlink(missing_ok=True)


class Container(Process):
    """A `docker run` in the foreground: it forwards SIGTERM itself, other signals go through the engine."""

    folder: Path
    _paused = False

    @classmethod
    async def run(cls, argv: Sequence[str], *, folder: Path, log: Path) -> Self:
        """Start the command line that `run_command` began."""
        container = await cls.start(argv, log=log)
        container.folder = folder
        return container

    @property
    def id(self) -> str:
        """Return the container's id, shortened; empty until there is a container."""
        file = _id_file(self.folder)
        return file.read_text(encoding="ascii")[:12] if file.exists() else ""

    @property
    def kill_command(self) -> str:
        return f"docker kill {self.id}"

    def send(self, number: signal.Signals) -> None:
        if number in {signal.SIGSTOP, signal.SIGCONT}:
            self._freeze(number == signal.SIGSTOP)
        else:
            super().send(number)

    async def kill(self) -> int:
        await remove_leftover(self.folder)
        return await super().kill()

    @property
    def returncode(self) -> int | None:
        code = super().returncode
        return None if code is None else _exit_code(code)

    async def wait(self) -> int:
        code = await super().wait()
        _id_file(self.folder).unlink(missing_ok=True)  # --rm has removed the container
        return _exit_code(code)

    def _freeze(self, freeze: bool) -> None:
        if freeze != self._paused and self.returncode is None:
            command = ["docker", "pause" if freeze else "unpause", self.id]
            subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)
            self._paused = freeze


def _exit_code(code: int) -> int:
    """Translate Docker's exit code: 137 is -9 for a child of ours, killed by that signal."""
    return 128 - code if code > 128 else code


def _id_file(folder: Path) -> Path:
    return folder.resolve() / "container.id"


def _is_rootless() -> bool:
    """Return whether root in a container is the user who runs the engine."""
    return any("rootless" in option for option in _security_options())


def _security_options() -> list[str]:
    command = ["docker", "info", "--format", "{{json .SecurityOptions}}"]
    output = subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE).stdout
    options = json.loads(output)
    return options if isinstance(options, list) else []


async def _docker(*arguments: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        "docker", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode(errors="replace").strip()
