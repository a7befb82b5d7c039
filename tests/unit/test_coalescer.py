"""Requests in one pass of the event loop share a query."""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from services.gateway.coalescer import Coalescer
from tests.waiting import until


class Library:
    """Knows the length of each word but the empty one, and records its queries; it is slow until told to answer."""

    def __init__(self, most: int = 10) -> None:
        self.asked: list[Sequence[str]] = []
        self.open = asyncio.Event()
        self.error: Exception | None = None
        self.lengths = Coalescer(self._look_up, most)

    async def _look_up(self, words: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(words)
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return {word: len(word) for word in words if word}

    def want(self, *words: str) -> list["asyncio.Task[int | None]"]:
        return [asyncio.create_task(self.lengths.call(word)) for word in words]


async def test_concurrent_requests_share_a_query_and_each_gets_its_own_answer() -> None:
    library = Library()
    library.open.set()
    assert await asyncio.gather(*library.want("a", "bcd", "", "a")) == [1, 3, None, 1]
    assert library.asked == [["a", "bcd", ""]]


async def test_no_request_is_answered_by_a_query_that_began_before_it() -> None:
    library = Library()
    first = library.want("a")
    await until(lambda: library.asked == [["a"]], "the query is in flight")
    second = library.want("a")
    await until(lambda: library.asked == [["a"], ["a"]], "so is another one")
    library.open.set()
    assert await asyncio.gather(*first, *second) == [1, 1]


async def test_a_question_has_a_bound() -> None:
    library = Library(most=2)
    library.open.set()
    assert await asyncio.gather(*library.want(*"abcde")) == [1] * 5
    assert sorted(map(len, library.asked)) == [1, 2, 2]


async def test_an_error_reaches_all_requests_and_the_next_is_queried_again() -> None:
    library = Library()
    library.open.set()
    library.error = OSError("closed today")
    results = await asyncio.gather(*library.want("a", "b"), return_exceptions=True)
    assert [str(result) for result in results] == ["closed today"] * 2
    library.error = None
    assert await library.lengths.call("a") == 1


async def test_a_cancelled_request_leaves_the_others_their_answer() -> None:
    library = Library()
    leaving, staying = library.want("a", "b")
    await until(lambda: library.asked, "the query is in flight")
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    library.open.set()
    assert await staying == 1


async def test_an_error_that_nobody_waits_for_any_more_is_no_error_of_ours() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    library = Library()
    [leaving] = library.want("a")
    await until(lambda: library.asked, "it was asked for")
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    library.error = OSError("closed today")
    library.open.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert reported == []
