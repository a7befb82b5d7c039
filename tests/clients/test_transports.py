"""A library goes on over what transport there is."""

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from live_orders.stream import Stream, StreamEvent, Target
from live_orders.transport_choice import Choice, Transport
from tests.clients.database import watched
from tests.clients.subject import TRANSPORTS, WORDS, Subject, subject
from tests.clients.test_scenarios import Scene, compare, scene
from tests.conftest import RunService
from tests.waiting import cancel_all, until

NODE = Path(__file__).with_name("choice.mjs")
# What has connected (+), and what has not or has broken (-): what is tried at first and after each of the latter, with
# a pause before it (.) or at once; and after the former, where it is not kept.
TRIED = {
    "---": "wps.w",  # nothing has worked
    "-+---": "wp.p.p.p",  # what is refused is not what is tried again
    "+-": "w.w",  # a break is no reason to change
    "+----": "w.w.w.wp",
    "+------": "w.w.w.wps.w",  # and back to what has worked, with a pause, however long the server is away
    "+---------": "w.w.w.wps.wps.w",
    "+----+": "w.w.w.wpw",  # the server is back, but came too late for what has worked
    "+----+-+": "w.w.w.wpwp",  # that is refused now, and another one is kept
    "+----+-+-": "w.w.w.wpwp.w",  # until it breaks
    "+----+-+-+-": "w.w.w.wpwp.w.w",
    "+----+-+----+": "w.w.w.wpwp.w.w.wp",  # to be refused again costs no second connection
    "+----+-+-+----+": "w.w.w.wpwp.w.w.w.wpw",  # but what has connected in between is tried once more
}


def tried(happens: str) -> str:
    choice = Choice(list(Transport))
    found = choice.now[0]
    for each in happens:
        if each == "+":
            found += choice.now[0] if choice.succeeded() else ""
        else:
            found += ("" if choice.failed() else ".") + choice.now[0]
    return found


def test_what_has_worked_is_tried_again_before_anything_else() -> None:
    assert {happens: tried(happens) for happens in TRIED} == TRIED


def test_the_javascript_library_does_so_too() -> None:
    done = subprocess.run(
        ["node", NODE], input="\n".join(TRIED), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [*TRIED.values()]


async def goes_over(library: Subject, transport: str) -> None:
    def seen() -> bool:
        return library.shown["phase"] == "live" and library.shown.get("transport") == transport

    await until(seen, f"{library.name} goes over {transport}")


async def try_to_use(made: Scene, transport: str, instead: str) -> None:
    """Have all libraries use a transport, and see over which they go; what happens meanwhile is not lost."""
    await made.act({"use": transport})
    await made.change({"insert": [{"_id": f"{transport} {made.database.commits}"}]})
    for library in made.libraries:
        await goes_over(library, instead)
    await made.settled()


@pytest.mark.parametrize("allowed", TRANSPORTS)
async def test_what_a_proxy_refuses_is_replaced_by_itself(
    mongodb_uri: str, redis_url: str, run_service: RunService, allowed: str
) -> None:
    async with scene(mongodb_uri, redis_url, run_service) as made, AsyncExitStack() as stack:
        made.link.refused = tuple(word for name, word in WORDS.items() if name != allowed)
        made.libraries = [await stack.enter_async_context(subject(name)) for name in ("python", "js")]
        made.database = await stack.enter_async_context(watched(made.orders, {}))
        for library in made.libraries:
            library.open(made.link.url, transports=TRANSPORTS)
        for library in made.libraries:
            await goes_over(library, allowed)
        await made.settled()
        for transport in TRANSPORTS:
            await try_to_use(made, transport, instead=allowed)
        made.link.refused = ()
        for transport in TRANSPORTS:
            await try_to_use(made, transport, instead=transport)
        for library in made.libraries:
            compare(library, made.database, has_one_epoch=True)


@pytest.mark.parametrize("name", ["python", "js"])
async def test_a_server_that_is_back_just_in_time_for_another_transport_is_reached_by_the_one_that_worked(
    mongodb_uri: str, redis_url: str, run_service: RunService, name: str
) -> None:
    async with scene(mongodb_uri, redis_url, run_service) as made, subject(name) as library:
        made.libraries = [library]
        library.open(made.link.url, transports=TRANSPORTS)
        async with watched(made.orders, {}) as made.database:
            await goes_over(library, "websocket")
            made.link.refused, made.link.refused_until = (WORDS["websocket"],), WORDS["polling"]
            made.link.cut()
            await until(lambda: not made.link.refused, "another transport is tried")
            await made.change({"insert": [{"_id": "meanwhile"}]})
            await made.settled()
            await goes_over(library, "websocket")
            compare(library, made.database, has_one_epoch=True)


async def test_a_transport_may_be_changed_again_while_the_first_change_is_under_way() -> None:
    tried: list[Transport] = []

    async def silent(transport: Transport, *_: object) -> AsyncGenerator[StreamEvent]:
        tried.append(transport)
        await asyncio.get_running_loop().create_future()
        yield StreamEvent("never", None, None)

    server: Any = None  # which such a stream never asks
    ways = {each: partial(silent, each) for each in Transport}
    stream = Stream(server, Target("", [], {}, None), ways, lambda _: None)
    listening = asyncio.ensure_future(anext(stream.events()))
    first, second, third = Transport
    try:
        await until(lambda: tried == [first], "the first one is tried")
        stream.use(second)
        await asyncio.sleep(0)  # the stream has been told to give up, and has had no time to do it
        stream.use(third)
        await until(lambda: tried == [first, third], "the last choice is tried")
    finally:
        await cancel_all(listening)
