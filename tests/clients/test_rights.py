"""A copy has what its token lets it see: also after the token was renewed with other rights."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from tests.access.conftest import Guarded, guarded
from tests.access.tokens import token
from tests.clients.subject import LIBRARIES, Subject, subject
from tests.waiting import until

__all__ = ["guarded"]  # a fixture

SECONDS = 6  # that a token lasts
OF_ADA = {"customer_name": "Ada"}
OPTIONS: dict[str, dict[str, Any]] = {"whole": {}, "window": {"window": {"sort": "-customer_name", "limit": 2}}}
SHOWN = {"whole": (["a1", "a2", "e1"], ["a1", "a2"]), "window": (["a2", "e1"], ["a1", "a2"])}


async def reaches(library: Subject, phase: str) -> None:
    await until(lambda: library.shown["phase"] == phase, f"{library.name} is {phase}")


async def shows(libraries: list[Subject], ids: list[str]) -> None:
    for library in libraries:

        def seen(library: Subject = library) -> bool:
            return library.shown["phase"] == "live" and sorted(library.shown["rows"]) == ids

        try:
            await until(seen, f"{library.name} shows {ids}", 40)
        except AssertionError as error:
            raise AssertionError(f"{library.name}: {library.views[-4:]}") from error


async def test_a_function_that_fails_is_asked_for_a_token_again(guarded: Guarded) -> None:
    await guarded.watcher()
    gateway = await guarded.gateway()
    await guarded.orders.insert_one({"_id": "a1", **OF_ADA})
    async with AsyncExitStack() as stack:
        libraries = [await stack.enter_async_context(subject(name)) for name in LIBRARIES]
        for each in libraries:
            each.open(gateway.url, asks=True)

        def is_told(library: Subject) -> bool:
            return [library.shown[each] for each in ("phase", "reason")] == ["loading", "there is no token: none today"]

        for each in libraries:
            await until(partial(is_told, each), f"{each.name} says why it has nothing")
            each.token = partial(token, rights="*")
        await shows(libraries, ["a1"])


@pytest.mark.parametrize("kind", OPTIONS)
async def test_a_token_that_allows_no_reading_ends_the_copy_and_one_that_allows_no_writing_does_not(
    guarded: Guarded, kind: str
) -> None:
    await guarded.watcher()
    gateway = await guarded.gateway()
    await guarded.orders.insert_many([{"_id": "a1", **OF_ADA}, {"_id": "a2", **OF_ADA}])
    async with AsyncExitStack() as stack:
        libraries = [await stack.enter_async_context(subject(name)) for name in LIBRARIES]
        for each in libraries:
            each.token = partial(token, scope="orders:write")
            each.open(gateway.url, asks=True, **OPTIONS[kind])
        for each in libraries:
            await reaches(each, "ended")
            assert each.shown["reason"] == "scope_missing", each.name
            each.token = partial(token, scope="orders:read", rights="*")
            each.open(gateway.url, asks=True, **OPTIONS[kind])
        await shows(libraries, ["a1", "a2"])
        for each in libraries:
            assert (await each.write({"update": "a1", "fields": {"status": "shipped"}}))["refused"] == 403
        await shows(libraries, ["a1", "a2"])


@pytest.mark.parametrize("kind", OPTIONS)
async def test_rows_come_and_go_with_the_rights_of_the_token(guarded: Guarded, kind: str) -> None:
    await guarded.watcher()
    gateway = await guarded.gateway(JWT_LEEWAY_SECONDS="0")
    await guarded.orders.insert_many(
        [{"_id": "a1", **OF_ADA}, {"_id": "a2", **OF_ADA}, {"_id": "e1", "customer_name": "Eve"}]
    )
    of_all, of_ada = SHOWN[kind]
    async with AsyncExitStack() as stack:
        libraries = [await stack.enter_async_context(subject(name)) for name in LIBRARIES]
        for each in libraries:
            each.token = partial(token, seconds=SECONDS, rights="*")
            each.open(gateway.url, asks=True, **OPTIONS[kind])
        await shows(libraries, of_all)
        for each in libraries:
            each.token = partial(token, seconds=SECONDS, rights=OF_ADA)
        await shows(libraries, of_ada)
        await guarded.orders.update_one({"_id": "e1"}, {"$set": {"n": 1}})
        for each in libraries:
            each.token = partial(token, rights="*")
        await shows(libraries, of_all)
        assert all(each.shown["rows"]["e1"]["n"] == 1 for each in libraries)
        assert all("rights_changed" in {view["reason"] for view in each.views} for each in libraries)
