"""The machine, the programs and the date of a run."""

import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from json import loads
from pathlib import Path

from bench import network
from bench.contestants import PEERS

PACKAGES = ("aiohttp", "uvloop", "pymongo", "redis", "hiredis", "python-socketio", "python-engineio")


def machine() -> list[str]:
    """Return one line each for the machine, the programs and the packages, and the date."""
    modules = {name: _node_version(name) for name in ("socket.io", "mongodb", "express")}
    return [
        f"{_processor()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()} ({_build()}), Node.js {_output(['node', '--version'])}",
        ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        ", ".join(f"{name} {number}" for name, number in modules.items()) + " (npm)",
        "in a network namespace of its own" if network.is_own() else "on the machine's own loopback device",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load average before: {os.getloadavg()[0]:.1f}",
    ]


def _build() -> str:
    """Say how this Python was built: one built without profiles, as pyenv does, is a quarter slower."""
    if sys.base_prefix == "/usr":
        return "the distribution's"
    optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return f"built {'with' if optimized else 'without'} --enable-optimizations"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _node_version(name: str) -> str:
    return str(loads((PEERS / "node-seed" / "node_modules" / name / "package.json").read_text())["version"])


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
