"""Runs the compose file for real and kills parts of it: `make test-compose`. Needs Docker; removes all that it starts.

It uses a project name, a port and a volume of its own, so a stack that runs here already is not touched.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from services.embedded.ports import free_port
from tests.deploy.audience import ROOT, audience
from tests.deploy.orders import create, making_orders

PROJECT = "realtime-orders-test"
OURS = ("setup", "watcher", "gateway", "loadbalancer")


class Failed(Exception):
    """The stack did not do what it should."""


class Compose:
    """`docker compose` on this project's file."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._env = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT, "PORT": str(port)}

    async def __call__(self, *arguments: str, check: bool = True) -> str:
        return await docker("compose", "--ansi", "never", *arguments, env=self._env, check=check)

    async def update(self) -> None:
        """Replace everything while it runs."""
        await output(str(ROOT / "deploy" / "update"), env=self._env)

    async def ids(self, *services: str) -> set[str]:
        """Return the ids of the services' running containers."""
        return set((await self("ps", "--quiet", *services)).split())

    async def containers(self, service: str) -> list[dict[str, Any]]:
        """Return the service's running containers from `docker compose ps`."""
        lines = (await self("ps", "--format", "json", service)).splitlines()
        return [json.loads(line) for line in lines if line.strip()]


async def docker(*arguments: str, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    """Run docker and return its output; raise Failed with its error output."""
    return await output("docker", *arguments, env=env, check=check)


async def output(*command: str, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if check and process.returncode:
        raise Failed(f"{' '.join(command)}: {(err or out).decode()[-2000:]}")
    return out.decode()


def say(text: str) -> None:
    sys.stdout.write(f"==> {text}\n")
    sys.stdout.flush()


def require(fact: object, what: str) -> None:
    if not fact:
        raise Failed(what)


async def main() -> int:
    """Run all steps; return the exit code."""
    if shutil.which("docker") is None or await missing():
        sys.stderr.write(
            "There is no Docker here (`docker compose version` and `docker info` must both answer), so the compose "
            "file cannot be tried. The load balancer's configuration is tried without Docker by `make test`.\n"
        )
        return 1
    compose = Compose(free_port())
    try:
        await run(compose)
    except (Failed, AssertionError) as error:
        sys.stderr.write(f"FAILED: {error}\n{await compose('logs', '--tail', '30', *OURS, check=False)}\n")
        return 1
    finally:
        say("docker compose down")
        await compose("down", "--volumes", "--timeout", "20", check=False)
    left = await docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={PROJECT}")
    require(not left.strip(), f"containers are left: {left}")
    say("All of it works.")
    return 0


async def missing() -> bool:
    try:
        await docker("compose", "version")
        await docker("info")
    except Failed:
        return True
    return False


async def run(compose: Compose) -> None:
    started = time.monotonic()
    say("docker compose up --build --wait")
    await compose("up", "--detach", "--build", "--wait", "--wait-timeout", "300", "--quiet-pull")
    say(f"up after {time.monotonic() - started:.0f} s; the page, the API and the refusals")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await look_around(session, compose.url)
        say("no secret in any container's description, and each service has its own only")
        await look_for_secrets(compose)
        say("Socket.IO over each transport and SSE; then --scale gateway=3")
        crowd = await stack.enter_async_context(audience(compose.url))
        ids = [await create(session, compose.url, number) for number in range(3)]
        await crowd.until_all_have(ids, 10)
        orders = await stack.enter_async_context(making_orders(compose.url, per_second=20))
        await compose("up", "--detach", "--wait", "--no-recreate", "--scale", "gateway=3")
        await all_gateways_serve(session, compose, 3)
        say("kill of a gateway")
        await kill(compose, "gateway", crowd.heard["polling"].servers[-1])
        say("kill of the leading watcher")
        await kill_the_leader(compose)
        say("deploy/update: all watchers and gateways are replaced")
        before = await compose.ids("gateway", "watcher")
        await compose.update()
        after = await compose.ids("gateway", "watcher")
        require(len(after) == len(before) and not before & after, f"all are new: {before} {after}")
        await all_gateways_serve(session, compose, 3)
        say("scale down to two gateways, which drains one")
        await compose("up", "--detach", "--wait", "--no-recreate", "--scale", "gateway=2")
        await all_gateways_serve(session, compose, 2)
        await asyncio.sleep(2)  # load goes on a little
        ids += orders.acknowledged
        await crowd.until_all_have(ids, 30)
        faults = crowd.faults(ids)
        say(f"{len(ids)} orders, {len(orders.refused)} refused: {orders.refused[:3]}; {crowd.summary()}")
        require(not faults, f"faults: {faults[:10]}")


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


async def look_for_secrets(compose: Compose) -> None:
    """`docker inspect` shows none of the passwords; a service finds its own in a file, and no others."""
    script = "from pathlib import Path; print(*(f.read_text().strip() for f in Path('/run/secrets').iterdir()))"

    async def held(service: str) -> str:
        return await compose("exec", "--no-TTY", service, "python", "-c", script)

    held_by = {service: await held(service) for service in ("watcher", "gateway")}
    passwords = {service: held_by[service].partition(f"//{service}:")[2].partition("@")[0] for service in held_by}
    require(all(len(password) > 40 for password in passwords.values()), "both services have a password")
    require(passwords["watcher"] not in held_by["gateway"], "the gateway does not know the watcher's password")
    require("admin:" not in held_by["gateway"] + held_by["watcher"], "no service has the administrator's password")
    described = await docker("inspect", *await compose.ids())
    require(not any(password in described for password in passwords.values()), "docker inspect shows no password")
    commands = await compose("exec", "--no-TTY", "valkey", "sh", "-c", "cat /proc/1/cmdline")
    require(not any(password in commands for password in passwords.values()), "no command line shows a password")


async def all_gateways_serve(session: aiohttp.ClientSession, compose: Compose, count: int) -> None:
    """Wait until new sessions are given out by as many gateways as there should be."""
    seen: set[str] = set()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        seen = set()
        for _ in range(10 * count):
            async with session.get(f"{compose.url}/socket.io/?EIO=4&transport=polling") as response:
                sid = json.loads((await response.text())[1:])["sid"]
            seen.add(sid.rpartition(".")[2])
            # The next request of the session must find the gateway that gave it out, whichever of them that is.
            async with session.post(
                f"{compose.url}/socket.io/?EIO=4&transport=polling&sid={sid}", data="1"
            ) as response:
                require(response.status == 200, f"a session's next request: {response.status}")
        if len(seen) == count:
            return
    raise Failed(f"{len(seen)} gateways serve, not {count}: {seen}")


async def kill(compose: Compose, service: str, id: str) -> None:
    """Kill a container at once, and wait until its successor serves."""
    await docker("kill", id)
    await docker("start", id)  # `unless-stopped` does not restart a container that was killed by hand
    await compose("up", "--detach", "--wait", "--no-recreate", "--no-deps", "--scale", f"{service}=3", service)


async def kill_the_leader(compose: Compose) -> None:
    names = [container["Name"] for container in await compose.containers("watcher")]
    require(len(names) == 2, f"two watchers run: {names}")
    led = {name: await leads(name) for name in names}
    require(sum(led.values()) == 1, f"exactly one watcher leads: {led}")
    killed = next(name for name in names if led[name])
    await docker("kill", killed)
    other = next(name for name in names if not led[name])
    until = time.monotonic() + 20
    while not await leads(other):
        require(time.monotonic() < until, "the standby takes over within 20 s")
        await asyncio.sleep(0.2)
    await docker("start", killed)


async def leads(container: str) -> bool:
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:3001/metrics').read().decode())"
    return "orders_watcher_leader 1.0" in await docker("exec", container, "python", "-c", script)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
