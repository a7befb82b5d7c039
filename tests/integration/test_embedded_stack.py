"""The whole embedded stack as a person runs it: start, kill a part, stop, start again on the same data."""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import jwt
import pytest

from services.common.running_stack import claimed
from services.embedded.folders import private_folder
from services.embedded.process import Process
from tests.forked_process import run_forked
from tests.listening import listening
from tests.service_process import ROOT
from tests.waiting import HANGS, within


@dataclass
class Stack:
    """`python -m services.embedded` with ports and a data folder of its own."""

    folder: Path
    settings: dict[str, str]
    screen: list[str] = field(default_factory=list)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings['PORT']}"

    async def start(self) -> Process:
        argv, env = [sys.executable, "-m", "services.embedded"], {"PYTHONPATH": str(ROOT), **self.settings}
        self.process = await Process.start(argv, log=None, env=env, cwd=self.folder)
        return self.process

    async def shows(self, text: str) -> str:
        """Read on until a line holds `text`, and return that line."""
        assert self.process is not None
        while line := (await self.process.output.readline()).decode():
            self.screen.append(line)
            if text in line:
                return line
        raise AssertionError(f"ended without showing {text!r}:\n{''.join(self.screen)}")

    async def ends(self) -> int:
        assert self.process is not None
        self.screen.append((await self.process.output.read()).decode())
        return await self.process.wait()


@pytest.fixture
async def stack(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    for given in ("MONGODB_URI", "REDIS_URL"):
        monkeypatch.delenv(given, raising=False)
    ports = {
        name: str(free_port())
        for name in ("PORT", "ADMIN_PORT", "WATCHER_PORT", "EMBEDDED_MONGODB_PORT", "EMBEDDED_REDIS_PORT")
    }
    stack = Stack(tmp_path, ports)
    yield stack
    if stack.process is not None:
        await stack.process.stop()


async def test_the_stack_starts_serves_recovers_stops_and_keeps_its_data(stack: Stack) -> None:
    await stack.start()
    assert f"http://localhost:{stack.settings['PORT']}" in await stack.shows("Ready: ")
    assert "Inserted 10 sample orders" in "".join(stack.screen)
    assert "There is no sign-in. Only programs on this machine reach the gateway" in "".join(stack.screen)
    on_both = f"::1:{stack.settings['PORT']}"
    assert listening_of_all(stack) == {on_both, *(f"127.0.0.1:{port}" for port in stack.settings.values())}
    assert f"mongodb://127.0.0.1:{stack.settings['EMBEDDED_MONGODB_PORT']}/" in "".join(stack.screen)
    for part in ("MongoDB", "Valkey", "watcher", "gateway"):
        assert re.search(rf"{part} `kill -9 \d+`", "".join(stack.screen))
    data = stack.folder / ".data"
    for folder in (data, data / "mongodb", data / "mongodb" / "data", data / "valkey"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    async with aiohttp.ClientSession() as session:
        new = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}
        async with session.post(f"{stack.url}/api/orders", json=new) as response:
            assert response.status == 201, await response.text()
            order = await response.json()

        _kill_child(stack, "mongod")
        await stack.shows("MongoDB was killed by SIGKILL; starting it again")
        await stack.shows("MongoDB runs again (kill it: `kill -9 ")
        # The gateway waits for the new primary rather than failing; so there is nothing to wait for here.
        async with session.get(f"{stack.url}/api/orders/{order['_id']}") as response:
            assert (response.status, await response.json()) == (200, order)

    assert stack.process is not None
    stack.process.send(signal.SIGINT)
    assert await stack.ends() == 0
    shown = "".join(stack.screen)
    assert shown.rstrip().endswith("Stopped")
    assert "Traceback" not in shown
    assert "operation cancelled" not in shown

    stack.screen.clear()
    await stack.start()
    await stack.shows("Inserted no sample orders")
    await stack.shows("Ready: ")
    assert "first_start" not in "".join(stack.screen)  # of the first start that was true
    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/api/orders/{order['_id']}") as response:
        assert await response.json() == order


async def test_other_commands_in_the_folder_find_its_mongodb_and_ctrl_c_does_not_wait_for_clients(stack: Stack) -> None:
    await stack.start()
    await stack.shows("Ready: ")
    port = stack.settings["EMBEDDED_MONGODB_PORT"]
    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/api/orders/events") as stream:
        for operation in ("INSERT", "UPDATE", "UPDATE", "DELETE", "INSERT"):
            said = await command(stack, "demo_write")
            assert said.endswith(f"(the embedded MongoDB of `make run`, at 127.0.0.1:{port})\n")
            async with asyncio.timeout(HANGS):
                while f'"operation":"{operation}"'.encode() not in await stream.content.readline():
                    pass
        said = await command(stack, "setup_db")
        assert said.startswith(f"Preparing the embedded MongoDB of `make run`, at 127.0.0.1:{port}\n")

        websocket = await session.ws_connect(f"{stack.url}/socket.io/?EIO=4&transport=websocket")  # reads no more
        await websocket.receive()
        await websocket.send_str("40")
        async with session.get(f"{stack.url}/api/orders") as reply:  # leaves an idle connection that is kept alive
            await reply.read()
        _, half = await asyncio.open_connection("127.0.0.1", int(stack.settings["PORT"]))
        half.write(b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\n")
        half.write(b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
        async with session.get(f"{stack.url}/api/orders") as reply:  # by now the half of a request is there, too
            await reply.read()
        assert stack.process is not None
        stack.process.send(signal.SIGINT)
        await stack.shows("Closing connections")
        # By default it would drain for five seconds, and for as long again wait for those that do not close.
        async with within(4):
            await stack.shows("Stopped")
        half.close()
    assert await stack.ends() == 0
    assert not (stack.folder / ".data" / "running.json").exists()


async def test_a_second_stack_in_the_same_folder_is_refused(stack: Stack) -> None:
    (stack.folder / ".data").mkdir()
    with claimed(stack.folder / ".data"):
        await stack.start()
        assert await stack.ends() == 1
    assert "Another `make run` uses the folder .data: stop it, or choose another folder with DATA_DIR." in "".join(
        stack.screen
    )


async def command(stack: Stack, name: str) -> str:
    """Run a command of ours in the stack's folder, without a MONGODB_URI; return its output."""
    ended = await run_forked(f"services.commands.{name}", cwd=stack.folder, environment={}, seconds=60)
    assert ended.code == 0, ended.output
    return ended.output


async def test_servers_of_ones_own_are_used_and_opening_it_to_others_prints_what_they_may_do(
    stack: Stack, mongodb_uri: str, redis_url: str
) -> None:
    (stack.folder / ".env").write_text(f"MONGODB_URI={mongodb_uri}\nREDIS_URL={redis_url}\n")
    stack.settings |= {"HOST": "0.0.0.0", "AUTH_NONE_ON_PUBLIC": "yes"}
    await stack.start()
    await stack.shows("Ready: ")
    shown = "".join(stack.screen)
    assert "Using the MongoDB at MONGODB_URI" in shown
    assert "Using the Redis at REDIS_URL" in shown
    assert not (stack.folder / ".data").exists()
    assert f"There is no sign-in: anyone who can reach port {stack.settings['PORT']} of this machine" in shown
    assert "sample orders" not in shown  # they were not asked for in a database of one's own
    assert f"0.0.0.0:{stack.settings['PORT']}" in listening_of_all(stack)


async def test_with_auth_jwt_its_own_tokens_are_let_in_and_no_others(
    stack: Stack, mongodb_uri: str, redis_url: str
) -> None:
    stack.settings |= {"MONGODB_URI": mongodb_uri, "REDIS_URL": redis_url, "AUTH": "jwt", "HOST": "0.0.0.0"}
    no_key = await make_token(stack, SUB="ada")
    assert "start `AUTH=jwt make run` once" in no_key
    await stack.start()
    await stack.shows("Clients need a token (AUTH=jwt): `make token")
    await stack.shows("Ready: ")
    key = stack.folder / ".data" / "token.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    url = f"http://127.0.0.1:{stack.settings['PORT']}/api/orders"
    texts = {
        "all": await make_token(stack, SUB="ada"),
        "Ada": await make_token(stack, SUB="ada", SCOPE="orders:read orders:write", CUSTOMER="Ada Lovelace"),
        "pending": await make_token(stack, SUB="ada", RIGHTS='{"status": "pending"}', SECONDS="60"),
        "reads": await make_token(stack, SUB="ada", SCOPE="orders:read"),
        "expired": await make_token(stack, SUB="ada", SECONDS="-60"),
        "forged": jwt.encode({"sub": "ada", "exp": 2**32, "iss": "make token"}, "x" * 64),
    }
    order = {"customer_name": "Eve", "product_name": "Lamp", "status": "shipped"}
    async with aiohttp.ClientSession() as session:
        found = {}
        for name, text in texts.items():
            headers = {"Authorization": f"Bearer {text}"}
            async with session.post(url, json=order, headers=headers) as response:
                found[name] = response.status
    assert found == {"all": 201, "Ada": 403, "pending": 403, "reads": 403, "expired": 401, "forged": 401}
    for wrong in ({}, {"SUB": "ada", "RIGHTS": "{"}, {"SUB": "ada", "RIGHTS": "{}", "CUSTOMER": "Ada"}):
        assert "No token" in await make_token(stack, **wrong)


async def make_token(stack: Stack, **asked: str) -> str:
    """Run `make token`'s command in the folder of the stack, and return what it prints."""
    ended = await run_forked("services.commands.make_token", cwd=stack.folder, environment=asked, seconds=60)
    return ended.output.strip()


async def test_without_tokens_it_is_not_opened_to_others(stack: Stack) -> None:
    stack.settings |= {"HOST": "0.0.0.0"}
    await stack.start()
    await stack.shows("AUTH: Value error, anyone who can reach 0.0.0.0 could read, change and delete every order")


def test_a_data_folder_that_holds_other_things_too_is_left_as_it_is(tmp_path: Path) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    for folder in (home, own / "mongodb"):
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    own.chmod(0o755)
    (home / "something").touch()
    for folder, mode in ((home, 0o755), (own, 0o700), (tmp_path / "new", 0o700)):
        assert stat.S_IMODE(private_folder(folder, known=frozenset({"mongodb"})).stat().st_mode) == mode


async def test_a_second_stack_names_the_port_and_touches_nothing(stack: Stack) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", int(stack.settings["PORT"]))
    async with server:
        await stack.start()
        assert await stack.ends() == 1
    [line] = "".join(stack.screen).splitlines()
    assert f"Port {stack.settings['PORT']}, meant for the gateway, is taken" in line
    assert "PORT" in line
    assert list(stack.folder.iterdir()) == []


async def test_a_database_that_cannot_be_prepared_stops_the_start(stack: Stack, redis_url: str) -> None:
    stack.settings |= {"MONGODB_URI": "mongodb://user@:pass@127.0.0.1/shop", "REDIS_URL": redis_url}
    await stack.start()
    assert await stack.ends() == 1
    assert "The database could not be prepared; the reason is above." in "".join(stack.screen)


async def test_a_wrong_setting_is_named(stack: Stack) -> None:
    stack.settings["EMBEDDED_REDIS_PORT"] = "many"
    await stack.start()
    assert await stack.ends() == 1
    assert "EMBEDDED_REDIS_PORT: Input should be a valid integer" in "".join(stack.screen)


def listening_of_all(stack: Stack) -> set[str]:
    """Return where the processes of the stack listen."""
    assert stack.process is not None
    children = Path(f"/proc/{stack.process.pid}/task/{stack.process.pid}/children").read_text().split()
    return set().union(*(listening(int(pid)) for pid in children))


def _kill_child(stack: Stack, program: str) -> None:
    """Send SIGKILL to the one child of the stack that runs `program`."""
    assert stack.process is not None
    children = Path(f"/proc/{stack.process.pid}/task/{stack.process.pid}/children").read_text().split()
    [child] = [pid for pid in children if program in Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]]
    os.kill(int(child), signal.SIGKILL)
