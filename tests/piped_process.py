"""A program that is spoken with over its standard input and output, and that ends with the context."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


@asynccontextmanager
async def piped(
    *argv: str, env: Mapping[str, str] | None = None, limit: int = 1 << 24
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it meanwhile; its lines may have ``limit`` bytes."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, env=env, limit=limit)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert process.stdin is not None
        process.stdin.close()
