"""The examples of the libraries do what they say."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Product, product
from tests.service_process import ROOT
from tests.waiting import until

__all__ = ["product"]  # a fixture

HERE = Path(__file__).parent
CLIENTS = ROOT / "clients"
WORKER = CLIENTS / "python" / "examples" / "worker.py"
PUBLISHED = ["react", "react-dom", "happy-dom", "@tanstack", "socket.io-client"]
GUIDE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
PREPARED_JS = """const [id, token] = [process.argv[2]];
const show = (...seen) => console.log(seen.length);
"""
PREPARED_PYTHON = """import asyncio, sys
id, cursor = sys.argv[1], None

async def main():
"""


def examples(language: str) -> list[str]:
    """Return the guide's examples in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


def run(*command: object, folder: Path, **environment: str) -> str:
    """Run a program to its end and return what it printed; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The wheel of the Python library, installed into a folder of its own."""
    wheel = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    run(*wheel, "--wheel-dir", tmp_path, CLIENTS / "python", folder=tmp_path)
    (made,) = tmp_path.glob("live_orders-*.whl")
    with zipfile.ZipFile(made) as packed:
        packed.extractall(tmp_path / "installed")
    return tmp_path / "installed"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A folder in which the packed JavaScript library is installed beside the published packages that it adapts to."""
    run("npm", "pack", "--pack-destination", tmp_path, folder=CLIENTS / "js")
    (made,) = tmp_path.glob("live-orders-*.tgz")
    modules = tmp_path / "node_modules"
    modules.mkdir()
    with tarfile.open(made) as packed:
        packed.extractall(modules, filter="data")
    (modules / "package").rename(modules / "live-orders")
    for name in PUBLISHED:
        (modules / name).symlink_to(ROOT / "node_modules" / name)
    return tmp_path


@asynccontextmanager
async def worker(url: str, file: Path, library: Path) -> AsyncIterator[None]:
    environment = {**os.environ, "PYTHONPATH": str(library)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(WORKER), url, str(file), env=environment)
    try:
        yield
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


def counted(file: Path) -> dict[str, int]:
    counts: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))["counts"] if file.exists() else {}
    return counts


def has_counted(file: Path, bobs: int) -> bool:
    return counted(file).get("Bob", 0) >= bobs


async def test_a_worker_counts_each_change_once_although_it_is_killed(
    product: Product, tmp_path: Path, installed: Path
) -> None:
    await product.watcher()
    gateway = await product.gateway()
    file = tmp_path / "counts.json"
    seen = 0
    async with worker(gateway.url, file, installed):
        # It follows from the moment at which it connects: the first changes that it counts show that it does.
        while not (seen := counted(file).get("Ada", 0)):
            await product.orders.insert_one({"customer_name": "Ada"})
            await asyncio.sleep(0.05)
    was = await product.orders.count_documents({"customer_name": "Ada"})
    for before in (0, 200, 400):
        await product.orders.insert_many([{"customer_name": "Bob"} for _ in range(200)])
        async with worker(gateway.url, file, installed):
            # Killed somewhere in the middle of its work.
            await until(partial(has_counted, file, before + 1), "it counts again")
    async with worker(gateway.url, file, installed):
        await until(partial(has_counted, file, 600), "it has counted all changes")
        await product.orders.insert_one({"customer_name": "Eve"})
        await until(lambda: counted(file).get("Eve"), "it has counted the last change")
    assert counted(file)["Bob"] == 600
    assert seen <= counted(file)["Ada"] <= was


async def test_the_adapters_work_with_the_published_packages(product: Product, packed: Path) -> None:
    await product.watcher()
    gateway = await product.gateway()
    for file in (HERE / "adapters.mjs", CLIENTS / "js" / "examples" / "react.mjs"):
        (packed / file.name).write_text(file.read_text(encoding="utf-8"))
    assert await asyncio.to_thread(run, "node", "adapters.mjs", gateway.url, folder=packed) == "ok\n"


def test_a_typescript_program_has_types_for_all_of_it(packed: Path) -> None:
    (packed / "uses.mts").write_text((HERE / "uses.mts").read_text(encoding="utf-8"))
    compiler = ROOT / "node_modules" / "typescript" / "bin" / "tsc"
    options = [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--lib",
        "es2023,dom",
    ]
    run("node", compiler, *options, "uses.mts", folder=packed)


async def prints_a_line(product: Product, *command: object, folder: Path, **environment: str) -> None:
    """Run an example, which may never end, until it has printed something; orders change meanwhile."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=folder, env={**os.environ, **environment}, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = asyncio.create_task(process.stdout.readline())
    try:
        while not first.done():
            await product.orders.insert_one({"customer_name": "Ada", "status": "pending"})
            await asyncio.wait([first], timeout=0.1)
        if not first.result():
            raise AssertionError((await process.stderr.read()).decode())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_each_example_of_the_guide_runs(product: Product, packed: Path, installed: Path) -> None:
    await product.watcher()
    gateway = await product.gateway()
    order = {"customer_name": "Ada", "product_name": "Engine", "status": "pending"}
    name = str((await product.orders.insert_one(order)).inserted_id)
    in_js, in_python = examples("js"), examples("python")
    assert len(in_js) >= 5
    assert len(in_python) >= 3
    for text in in_js:
        (packed / "example.mjs").write_text(f"{PREPARED_JS}{text}".replace("http://localhost:3000", gateway.url))
        await prints_a_line(product, "node", "example.mjs", name, folder=packed)
    for text in in_python:
        whole = f"{PREPARED_PYTHON}{textwrap.indent(text, '    ')}\nasyncio.run(main())\n"
        (packed / "example.py").write_text(whole.replace("http://localhost:3000", gateway.url))
        await prints_a_line(product, sys.executable, "-u", "example.py", name, folder=packed, PYTHONPATH=str(installed))
