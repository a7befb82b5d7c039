"""The stack of compose.yaml, started from a copy of this checkout with a project, a port and an `.env` of its own."""

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.embedded.ports import free_port
from tests.deploy.audience import ROOT

PROJECT = "realtime-orders-test"
IMAGE = "realtime-orders-test"
# What the image is built from, and what the commands of docs/operations.md use.
COPIED = (
    "compose.yaml",
    ".dockerignore",
    "deploy",
    "services",
    "web",
    "requirements.lock",
    "package.json",
    "package-lock.json",
)
_WHAT_DOCKER_NEEDS = re.compile(r"PATH|HOME|TMPDIR|LANG|LC_.*|DOCKER_.*|BUILDX_.*|BUILDKIT_.*|XDG_.*|.*_proxy|.*_PROXY")


class Failed(Exception):
    """The stack did not do what it should."""


def require(fact: object, what: str) -> None:
    if not fact:
        raise Failed(what)


async def output(*command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    """Run a command and return its output; raise Failed with its error output.

    A command that is cancelled is stopped with all that it started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()
        raise
    if check and process.returncode:
        raise Failed(f"{' '.join(command)}: {(err or out).decode()[-2000:]}")
    return out.decode()


async def docker(*arguments: str, check: bool = True) -> str:
    """Run docker and return its output."""
    return await output("docker", *arguments, check=check)


async def docker_is_here() -> bool:
    try:
        await docker("compose", "version")
        await docker("info")
    except (Failed, FileNotFoundError):
        return False
    return True


class RunningStack:
    """The copy of the checkout, and `docker compose` in it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        # The environment would win over .env, and this is about what .env says.
        self._env = {name: value for name, value in os.environ.items() if _WHAT_DOCKER_NEEDS.fullmatch(name)}

    async def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose`."""
        return await self.run("docker", "compose", "--ansi", "never", *arguments, check=check)

    async def run(self, *command: str, check: bool = True) -> str:
        """Run a command as in docs/operations.md."""
        return await output(*command, cwd=self.folder, env=self._env, check=check)

    def settings(self) -> dict[str, str]:
        """Return what .env sets."""
        return dict(line.split("=", 1) for line in (self.folder / ".env").read_text("utf-8").splitlines())

    def configure(self, **settings: str) -> None:
        """Set lines of .env."""
        lines = (f"{name}={value}" for name, value in {**self.settings(), **settings}.items())
        (self.folder / ".env").write_text("\n".join(lines) + "\n", "utf-8")

    @asynccontextmanager
    async def configured(self, **settings: str) -> AsyncIterator[None]:
        """Run with these lines in .env meanwhile."""
        before = (self.folder / ".env").read_text("utf-8")
        self.configure(**settings)
        try:
            await self.up()
            yield
        finally:
            (self.folder / ".env").write_text(before, "utf-8")
            await self.up()

    async def up(self, *, gateways: int | None = None) -> None:
        """Do what an operator does after a change of .env: a plain `docker compose up`."""
        if gateways is not None:
            self.configure(GATEWAY_REPLICAS=str(gateways))
        await self("up", "--detach", "--wait", "--wait-timeout", "300", "--quiet-pull")

    async def ids(self, *services: str) -> set[str]:
        """Return the ids of the services' running containers."""
        return set((await self("ps", "--quiet", *services)).split())

    async def names(self, service: str) -> list[str]:
        """Return the names of the service's running containers."""
        lines = (await self("ps", "--format", "json", service)).splitlines()
        return [str(json.loads(line)["Name"]) for line in lines if line.strip()]

    async def inspect(self, container: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(await docker("inspect", container))
        return found[0]

    async def versions(self, service: str) -> set[str]:
        """Return the versions of the images that the service's containers run."""
        label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
        return set((await docker("inspect", "--format", label, *await self.ids(service))).split())

    def release(self, version: str) -> None:
        """Make the copy another release."""
        for path in (self.folder / "compose.yaml", self.folder / "services" / "__init__.py"):
            text = path.read_text("utf-8").replace(self.version, version)
            path.write_text(text, "utf-8")

    @property
    def version(self) -> str:
        """The version of the copy."""
        found = re.search(r'__version__ = "(.*)"', (self.folder / "services" / "__init__.py").read_text("utf-8"))
        assert found
        return found[1]


@asynccontextmanager
async def running_stack(**settings: str) -> AsyncIterator[RunningStack]:
    """Copy the checkout, and remove in the end everything that was started or built from it."""
    with TemporaryDirectory(prefix="orders-compose-") as name:
        folder, port = Path(name), free_port()
        for entry in COPIED:
            source = ROOT / entry
            if source.is_dir():
                shutil.copytree(source, folder / entry, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
            else:
                shutil.copy(source, folder / entry)
        (folder / ".env").write_text("", "utf-8")
        stack = RunningStack(folder, port)
        stack.configure(COMPOSE_PROJECT_NAME=PROJECT, ORDERS_IMAGE=IMAGE, PORT=str(port), **settings)
        await _remove(stack)  # what a run has left that was killed
        try:
            yield stack
        finally:
            await _remove(stack)


async def _remove(stack: RunningStack) -> None:
    for container in (await docker("ps", "--quiet", "--filter", "status=paused", check=False)).split():
        if (await stack.inspect(container))["Config"]["Labels"].get("com.docker.compose.project") == PROJECT:
            await docker("unpause", container, check=False)
    await stack("--profile", "*", "down", "--volumes", "--timeout", "5", "--remove-orphans", check=False)
    images = await docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"{IMAGE}*")
    if images.strip():
        await docker("image", "rm", "--force", *images.split(), check=False)
    left = await docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    require(not left.strip(), f"containers are left: {left}")
