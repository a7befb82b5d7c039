"""A server with its data in a folder, run as a program of this machine or in a container."""

import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import TypeAdapter

from services.embedded import docker
from services.embedded.binaries import Image, Wanted, Way, locate
from services.embedded.folders import private_folder
from services.embedded.process import Process
from services.embedded.server import EmbeddedServer


def way_of_environment(environment: Mapping[str, str] = os.environ) -> Way:
    """Return EMBEDDED_SERVERS; `make run` uses its settings instead, which also read `.env`."""
    return TypeAdapter(Way).validate_python(environment.get("EMBEDDED_SERVERS") or Way.AUTO)


@dataclass(eq=False, kw_only=True)
class DataServer(EmbeddedServer):
    """One server with its data and its log in `folder`."""

    wanted: ClassVar[Wanted]

    folder: Path
    port: int
    port_advice: str = "give it another port"
    way: Way = field(default_factory=way_of_environment)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / f"{self.wanted.name}.log"

    @abstractmethod
    def options(self, address: str) -> list[str]:
        """Return the arguments with which the program listens on `address`."""

    def argv(self) -> list[str]:
        private_folder(self.folder)
        found = locate(self.wanted, self.way)
        if isinstance(found, Image):
            # All addresses of the container; its port is published on loopback only.
            start = docker.run_command(found.name, self.wanted.names[0], self.folder, self.port)
            return [*start, *self.options("0.0.0.0")]
        return [str(found), *self.options("127.0.0.1")]

    def image(self) -> str | None:
        """Return the Docker image, or None if it runs as a program of this machine."""
        found = locate(self.wanted, self.way)
        return found.name if isinstance(found, Image) else None

    async def clear(self) -> None:
        """Remove the container left over from an earlier run."""
        await docker.remove_leftover(self.folder)

    async def launch(self) -> None:
        if not self.running:
            await self.clear()
        await super().launch()

    async def spawn(self) -> Process:
        image = self.image()
        if image is None:
            return await super().spawn()
        await docker.fetch(image)
        return await docker.Container.run(self.argv(), folder=self.folder, log=self.log)
