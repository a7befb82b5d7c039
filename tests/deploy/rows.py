"""The rows of `make test-compose`: what is done to the running stack, and what clients may notice of it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.deploy.audience import ROOT
from tests.deploy.idle_clients import idle_clients
from tests.deploy.running_stack import Failed, RunningStack, docker, require
from tests.deploy.secret_search import look_for_secrets
from tests.deploy.sign_in import sign_in, tokens
from tests.waiting import until

MOST_GATEWAYS = 6
FROZEN_SECONDS = 8


class NotRun(Exception):
    """The row cannot be run here; the message says why."""


@dataclass
class Row:
    """One row: an act on the running stack while requests and clients go on."""

    name: str
    about: str
    act: Callable[[RunningStack], Awaitable[str]]
    """Return what else is worth knowing."""
    gateways: int = 2
    """How many there are when it begins."""
    refuses: bool = False
    """Whether requests may be refused meanwhile."""
    resyncs: bool = False
    """Whether clients must load their orders anew."""
    seconds: float = 300
    """How long it may take."""
    before: Callable[[RunningStack], Awaitable[None]] | None = field(default=None)
    """What must be there when it begins."""
    attended: bool = True
    """Whether requests and clients go on meanwhile; those that do have no tokens."""


async def scale_up(stack: RunningStack) -> str:
    await stack.up(gateways=MOST_GATEWAYS)
    await serve(stack, MOST_GATEWAYS)
    return f"1 → {MOST_GATEWAYS} gateways"


async def scale_down(stack: RunningStack) -> str:
    await stack.up(gateways=1)
    await serve(stack, 1)
    return f"{MOST_GATEWAYS} → 1 gateways"


async def up_again(stack: RunningStack) -> str:
    before = await stack.ids()
    await stack.up()
    require(before == await stack.ids(), "no container is replaced, added or removed")
    return f"{len(await stack.ids('gateway'))} gateways stay"


async def kill_a_gateway(stack: RunningStack) -> str:
    killed = (await stack.names("gateway"))[0]
    await docker("kill", "--signal", "KILL", killed)
    await asyncio.sleep(3)
    await docker("start", killed)  # compose's restart policy leaves alone what was killed by hand
    await stack.up()
    return ""


async def kill_the_leader(stack: RunningStack) -> str:
    led = {name: await leads(name) for name in await stack.names("watcher")}
    require(len(led) == 2 and sum(led.values()) == 1, f"two watchers run, and exactly one leads: {led}")
    killed = next(name for name in led if led[name])
    other = next(name for name in led if not led[name])
    started = time.monotonic()
    await docker("kill", "--signal", "KILL", killed)
    while not await leads(other):
        require(time.monotonic() < started + 20, "the standby takes over within 20 s")
        await asyncio.sleep(0.2)
    took = time.monotonic() - started
    await docker("start", killed)
    return f"the other one leads after {took:.1f} s"


async def leads(container: str) -> bool:
    script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:3001/metrics').read().decode())"
    return "orders_watcher_leader 1.0" in await docker("exec", container, "python", "-c", script)


async def update(stack: RunningStack) -> str:
    before, version = await stack.ids("gateway", "watcher"), _later(stack.version)
    stack.release(version)
    await stack.run("deploy/update")
    after = await stack.ids("gateway", "watcher")
    require(len(after) == len(before) and not before & after, f"all processes are new: {before} {after}")
    require(await stack.versions("gateway") == {version}, f"the image says {version}")
    require("ORDERS_VERSION" not in stack.settings(), ".env names no version")
    return f"to {version}"


def _later(version: str) -> str:
    major, _, rest = version.partition(".")
    return f"{int(major) + 1}.{rest}"


async def update_to_a_broken_image(stack: RunningStack) -> str:
    before, ran = await stack.ids("gateway", "watcher"), await stack.versions("gateway")
    started = stack.folder / "services" / "gateway" / "__main__.py"
    good, version = started.read_text("utf-8"), stack.version
    started.write_text('raise SystemExit("this release is broken")\n', "utf-8")
    for broken in (_later(version), version):  # another release, or the same one built again
        stack.release(broken)
        try:
            await stack.run("deploy/update")
        except Failed as failed:
            said = str(failed)
        else:
            raise Failed("deploy/update reports no failure")
        require("The old ones stay" in said, f"it says what it did: {said}")
        # Neither may the next `docker compose up` start what has just failed.
        await stack.up()
        require(await stack.ids("gateway", "watcher") == before, "the same processes run as before")
    require(await stack.versions("gateway") == ran, "the release that works")
    started.write_text(good, "utf-8")
    stack.release(version)
    return "the old ones stay, and the exit code says so"


async def has_been_updated(stack: RunningStack) -> None:
    images = await docker("image", "ls", "--format", "{{.Tag}}", stack.settings()["ORDERS_IMAGE"])
    if "previous" not in images.split():
        await update(stack)


async def roll_back(stack: RunningStack) -> str:
    before, now = await stack.ids("gateway", "watcher"), await stack.versions("gateway")
    started = time.monotonic()
    await stack.run("deploy/update", "--back")
    after, then = await stack.ids("gateway", "watcher"), await stack.versions("gateway")
    require(len(after) == len(before) and not before & after, "all processes are new")
    require(now != then, f"another version runs: {then}")
    took = time.monotonic() - started
    await stack.up()
    require(await stack.ids("gateway", "watcher") == after, "a plain up keeps it")
    return f"{'/'.join(now)} → {'/'.join(then)} in {took:.0f} s, without building"


def rotate(name: str) -> Callable[[RunningStack], Awaitable[str]]:
    """Return the rotation of one password."""

    async def act(stack: RunningStack) -> str:
        before, count = await held(stack), len(await stack.ids("gateway"))
        await stack.run("deploy/rotate", name)
        after = await held(stack)
        changed = {path for path in before if before[path] != after.get(path)}
        if name != "recovery":
            require(f"setup/{name}_password" in changed, f"the password is another one: {changed}")
        require(len(await stack.ids("gateway")) == count, f"there are still {count} gateways")
        await stack.up()  # which provisions again: the set-up knows all passwords
        return ""

    return act


async def held(stack: RunningStack) -> dict[str, str]:
    """Return the content of all files with secrets."""
    listed = await stack(
        *("run", "--rm", "--no-deps", "--no-TTY", "secrets", "sh", "-c"),
        'cd /secrets && for f in */*; do echo "== $f"; cat "$f"; echo; done',
    )
    files = re.split(r"^== (\S+)\n", listed, flags=re.MULTILINE)[1:]
    return {name: text.strip() for name, text in zip(files[::2], files[1::2], strict=True)}


async def fill_redis(stack: RunningStack) -> str:
    script = """
import time
from pathlib import Path
from redis import Redis
from redis.exceptions import ResponseError
redis = Redis.from_url(Path("/run/secrets/redis_url").read_text())
count, until = 0, time.monotonic() + 8
while time.monotonic() < until:
    try:
        for _ in range(1000):
            redis.set("{orders}:fill:%d" % count, b"x" * (1 << 20 if count < 700 else 1 << 10))
            count += 1
    except ResponseError:
        time.sleep(0.02)
print(count)
for first in range(0, count, 500):
    redis.unlink(*("{orders}:fill:%d" % number for number in range(first, min(count, first + 500))))
"""
    count = await stack("exec", "--no-TTY", "watcher", "python", "-c", script)
    require(int(count) > 600, f"Redis took {count} values before it was full")
    return "full for 8 s"


def freeze(service: str) -> Callable[[RunningStack], Awaitable[str]]:
    """Return the act of freezing a service for a while."""

    async def act(stack: RunningStack) -> str:
        name = (await stack.names(service))[0]
        await docker("pause", name)
        try:
            await asyncio.sleep(FROZEN_SECONDS)
        finally:
            await docker("unpause", name)

        async def healthy() -> bool:
            state = (await stack.inspect(name))["State"]
            return bool(state["Health"]["Status"] == "healthy")

        await until(healthy, f"{service} is healthy again", 60)
        return f"frozen for {FROZEN_SECONDS} s"

    return act


async def restore(stack: RunningStack) -> str:
    """Do what docs/operations.md says, word by word."""
    if not await stack("exec", "--no-TTY", "mongodb", "sh", "-c", "command -v mongodump mongorestore", check=False):
        raise NotRun("the image of MongoDB has no mongodump")
    text = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Backup and restore\n")[2]
    back_up, put_back = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)[:2]
    sign_in = re.split(r"^(?=    docker compose exec .* mongodump )", back_up, flags=re.MULTILINE)[0]
    await stack.run("sh", "-ec", back_up)
    before = await count_orders(stack)
    await asyncio.sleep(3)
    require(await count_orders(stack) > before, "orders are made after the backup")
    await stack.run("sh", "-ec", sign_in + put_back)
    await stack.up()
    return f"{before} orders"


async def count_orders(stack: RunningStack) -> int:
    script = (
        "from pathlib import Path; from pymongo import MongoClient; "
        "print(MongoClient(Path('/run/secrets/mongodb_uri').read_text()).get_default_database()"
        "['orders'].count_documents({}))"
    )
    return int(await stack("exec", "--no-TTY", "gateway", "python", "-c", script))


async def search(stack: RunningStack) -> str:
    return await look_for_secrets(stack, await held(stack))


async def serve(stack: RunningStack, count: int) -> None:
    """Wait until as many gateways run as there should be."""
    require(len(await stack.ids("gateway")) == count, f"{count} gateways run")


def rows(clients: int) -> list[Row]:
    """Return all rows; `clients`: how many idle clients there should be."""
    passwords = [
        Row(f"rotate-{name}", f"`deploy/rotate {name}`", rotate(name)) for name in ("gateway", "watcher", "admin")
    ]
    return [
        Row("break-nothing", "Nothing, for ten seconds: shows what the harness itself costs", _nothing),
        Row("scale-up", "`GATEWAY_REPLICAS` is raised, `docker compose up`", scale_up, gateways=1),
        Row("up-again", "A plain `docker compose up`", up_again, gateways=3),
        Row("kill-a-gateway", "SIGKILL; started again after three seconds", kill_a_gateway),
        Row("kill-the-leading-watcher", "SIGKILL; started again once the other one leads", kill_the_leader),
        Row("update", "`deploy/update` to another release", update),
        Row("update-to-a-broken-image", "`deploy/update` to a release that does not start", update_to_a_broken_image),
        Row("roll-back", "`deploy/update --back`", roll_back, before=has_been_updated),
        *passwords,
        Row("rotate-recovery", "`deploy/rotate recovery`", rotate("recovery")),
        Row("find-secrets", "Every secret is looked for where it should not be", search),
        Row(
            "idle-clients",
            f"{clients:,} idle clients connect through the load balancer and stay for 30 s",
            idle_clients(clients),
            gateways=4,
            seconds=1200,
        ),
        Row("fill-redis", "Another client fills Redis up to its limit", fill_redis),
        Row("freeze-redis", "`docker compose pause valkey`", freeze("valkey")),
        Row("freeze-mongodb", "`docker compose pause mongodb`", freeze("mongodb"), refuses=True),
        Row("restore", "A backup is made and restored while orders are made", restore, refuses=True, resyncs=True),
        Row("scale-down", "`GATEWAY_REPLICAS` is lowered, `docker compose up`", scale_down, gateways=MOST_GATEWAYS),
        Row(
            "sign-in",
            "The settings of docs/security.md for trying sign-in; a person in Chromium",
            sign_in,
            attended=False,
        ),
        Row("tokens", "The settings of docs/security.md for an issuer that publishes its keys", tokens, attended=False),
    ]


async def _nothing(stack: RunningStack) -> str:
    await asyncio.sleep(10)
    return f"{len(await stack.ids())} containers"
