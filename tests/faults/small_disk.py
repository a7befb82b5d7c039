"""A disk that is easily filled: a small file system in memory."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


def mounts_missing() -> str | None:
    """Return why no file system can be mounted here, or None."""
    return None if os.geteuid() == 0 else "mounting a small disk needs root"


@asynccontextmanager
async def small_disk(folder: Path, megabytes: int) -> AsyncIterator[Path]:
    """Mount one at ``folder`` meanwhile."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    await run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        await run("umount", "--lazy", str(folder))


def fill(folder: Path) -> Path:
    """Write a file until the disk is full; return it, to be removed."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 65536) == 65536:
                pass
            while file.write(b"\0" * 512):
                pass
        except OSError:
            pass
    return ballast


async def run(*command: str) -> None:
    """Run a command; raise OSError with its message when it fails."""
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    words, _ = await child.communicate()
    if child.returncode:
        raise OSError(f"{' '.join(command)}: {words.decode(errors='replace').strip()}")
