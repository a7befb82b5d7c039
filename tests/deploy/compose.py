"""Starts the compose file for real and goes through the rows of `rows.py`: `make test-compose`. Needs Docker.

It works on a copy of the checkout, under a project name, a port, volumes and an image of its own, and removes them in
the end, also when it is interrupted: a stack that runs here already is not touched.
"""

import argparse
import asyncio
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import aiohttp

from services.common.error_text import error_text
from tests.deploy.audience import audience
from tests.deploy.compose_report import DOCUMENT, Outcome, amended, line
from tests.deploy.orders import create
from tests.deploy.rest_load import rest_load
from tests.deploy.rows import NotRun, Row, rows
from tests.deploy.running_stack import Failed, RunningStack, docker, docker_is_here, require, running_stack

OURS = ("setup", "watcher", "gateway", "loadbalancer")
CLIENTS = {
    f"{kind}-{number}": transports
    for number in range(2)
    for kind, transports in {
        "polling": ["polling"],
        "websocket": ["websocket"],
        "upgrade": ["polling", "websocket"],
        "sse": ["sse"],
    }.items()
}
FAILURES = (Failed, AssertionError, TimeoutError, aiohttp.ClientError, ExceptionGroup)
SETTLE = 3.0  # seconds in which the load goes on after a row


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(names: Sequence[str], clients: int) -> int:
    """Run the rows; return the exit code."""
    if not await docker_is_here():
        sys.stderr.write(
            "There is no Docker here (`docker compose version` and `docker info` must both answer), so the compose "
            "file cannot be tried. The load balancer's configuration is tried without Docker by `make test`.\n"
        )
        return 1
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    known = rows(clients)
    outcomes: list[Outcome] = []
    async with running_stack() as stack:
        started = time.monotonic()
        say("==> docker compose up --build --wait")
        try:
            await stack("up", "--detach", "--build", "--wait", "--wait-timeout", "300", "--quiet-pull")
            say(f"==> up after {time.monotonic() - started:.0f} s; the page, the API and the refusals")
            async with aiohttp.ClientSession() as session:
                await look_around(session, stack.url)
            say(f"==> {await size_of_image(stack)}")
        except Failed as failed:
            sys.stderr.write(f"FAILED: {failed}\n{await stack('logs', '--tail', '30', *OURS, check=False)}\n")
            return 1
        machine = await _machine(stack)
        for row in known:
            if not names or row.name in names:
                outcomes.append(await run(row, stack))
                say(line(outcomes[-1]))
                DOCUMENT.write_text(amended(DOCUMENT.read_text("utf-8"), outcomes, known, machine), "utf-8")
    failed_rows = [outcome.row.name for outcome in outcomes if outcome.faults]
    say(f"==> {len(outcomes) - len(failed_rows)} of {len(outcomes)} rows are clean. Failed: {failed_rows or 'none'}")
    return int(bool(failed_rows))


async def run(row: Row, stack: RunningStack) -> Outcome:
    """Run one row with clients and requests through the load balancer, and count."""
    outcome, started = Outcome(row), time.monotonic()
    try:
        await stack.up(gateways=row.gateways)
        if row.before is not None:
            await row.before(stack)
        if not row.attended:
            started = time.monotonic()
            async with asyncio.timeout(row.seconds):
                outcome.note = await row.act(stack)
            outcome.seconds = time.monotonic() - started
            return outcome
        async with audience(stack.url, CLIENTS) as crowd, rest_load(stack.url) as load:
            started = time.monotonic()
            try:
                async with asyncio.timeout(row.seconds):
                    outcome.note = await row.act(stack)
            except FAILURES as error:  # what was lost by then is known only when the rest has arrived
                outcome.failure = error_text(error)
            await asyncio.sleep(SETTLE)
            made = list(load.acknowledged)
            with suppress(AssertionError):  # those that are missing are counted
                await crowd.until_all_have(made)
            outcome.seconds = time.monotonic() - started
            outcome.sent, outcome.refused, outcome.tally = load.sent, load.refused, crowd.tally(made)
    except NotRun as reason:
        outcome = Outcome(row, not_run=str(reason))
    except FAILURES as error:
        outcome.failure = error_text(error)
    return outcome


async def look_around(session: aiohttp.ClientSession, url: str) -> None:
    """The page and its scripts, CRUD, and the routes that are not public."""
    statuses = {"/": 200, "/vendor/socket.io.esm.min.js": 200, "/readyz": 200, "/metrics": 404}
    for path, wanted in statuses.items():
        async with session.get(url + path) as response:
            require(response.status == wanted, f"GET {path}: {response.status}")
    order = await create(session, url, 0)
    async with session.put(f"{url}/api/orders/{order}", json={"status": "shipped"}) as response:
        require((await response.json())["status"] == "shipped", "PUT changes the status")
    async with session.delete(f"{url}/api/orders/{order}") as response:
        require(response.ok, f"DELETE: {response.status}")
    async with session.get(f"{url}/api/orders/{order}") as response:
        require(response.status == 404, f"GET of a deleted order: {response.status}")


async def size_of_image(stack: RunningStack) -> str:
    image = (await stack.inspect((await stack.names("gateway"))[0]))["Image"]
    size = int(await docker("image", "inspect", "--format", "{{.Size}}", image))
    return f"the image has {size / 1e6:.0f} MB"


async def _machine(stack: RunningStack) -> str:
    mongodb = (await stack("exec", "--no-TTY", "mongodb", "mongod", "--version", check=False)).split("\n")[0]
    engine = (await docker("version", "--format", "{{.Server.Version}}")).strip()
    return (
        f"{os.cpu_count()} processors, Linux {platform.release()}, Docker {engine}, MongoDB {mongodb.split(' v')[-1]}"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="ROW", nargs="+", default=[], help="run these rows only")
    parser.add_argument("--list", action="store_true", help="list the rows")
    parser.add_argument("--clients", type=int, default=15_000, help="how many idle clients connect (default 15,000)")
    options = parser.parse_args()
    unknown = set(options.only) - {row.name for row in rows(0)}
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    options = arguments()
    if options.list:
        for row in rows(options.clients):
            say(f"{row.name:26} {row.about}")
        sys.exit(0)
    try:
        sys.exit(asyncio.run(main(options.only, options.clients)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
