"""Gives a request that is repeated under the same key the answer to the first."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import orjson

from services.common.documents import Json, dumps
from services.gateway.http.answers import ETAG
from services.gateway.http.problem_translation import as_problems, problem_of
from services.gateway.http.problems import Kind, problem_response
from services.gateway.idempotency import Claim
from services.gateway.in_flight import InFlight
from services.gateway.kept_answers import Answer, KeptAnswer, KeptAnswers, KeyTaken
from services.gateway.store_errors import StoreError
from services.gateway.versions import PreconditionFailed

# Answers that say what was found at the time, and are kept like those of writes. All other errors come before anything
# was looked at, or say nothing about the order: to repeat the request is to try it again.
_DECIDED = frozenset({
    Kind.NOT_FOUND,
    Kind.OUTSIDE,
    Kind.PRECONDITION,
    Kind.RULE,
    Kind.TAKEN,
    Kind.ORDER_TOO_LARGE,
})  # fmt: skip
WAIT_SECONDS = 1.0  # for a majority to have the answer that one server has
_PAUSE = 0.02


class Repeats:
    """Does each request with a key once, whoever repeats it, on any replica.

    Whether it is the first, MongoDB decides by the key's document, which is written together with the order. So there
    is nothing to find out beforehand: a request that turns out to be a repeat has written nothing.
    """

    def __init__(self) -> None:
        self._in_flight = InFlight(1)

    async def once(self, claim: Claim, act: Callable[[], Awaitable[Answer]], kept: KeptAnswers) -> Answer:
        """Return the answer of ``act``, which keeps it, or the one that was kept; raise Problem."""
        async with self._in_flight.slot(claim.key):
            try:
                return await act()
            except (KeyTaken, PreconditionFailed, StoreError) as error:
                with as_problems("body"):
                    return await _other(claim, error, kept)


async def _other(claim: Claim, error: Exception, kept: KeptAnswers) -> Answer:
    """Return the answer of an earlier request, or else what has just been found; raise ``error`` if undecided."""
    first = await _find(claim, kept, wait=isinstance(error, KeyTaken))
    if first is None and (found := _decided(error)) is not None:
        await kept.keep(claim, found)
        first = await kept.find(claim)
    if first is None:
        raise error
    if first.is_same_view:
        return first.answer
    # In a thread: an answer that is kept may have megabytes.
    return await asyncio.to_thread(_without_orders, first.answer)


async def _find(claim: Claim, kept: KeptAnswers, *, wait: bool) -> KeptAnswer | None:
    """Return the answer; where the key is taken, a majority may not have it yet."""
    until = monotonic() + (WAIT_SECONDS if wait else 0.0)
    while True:
        first = await kept.find(claim)
        if first is not None or monotonic() >= until:
            return first
        await asyncio.sleep(_PAUSE)


def _decided(error: Exception) -> Answer | None:
    problem = problem_of(error)
    if problem is None or problem.kind not in _DECIDED:
        return None
    response = problem_response(problem)
    body = response.body if isinstance(response.body, bytes) else b""
    return Answer(response.status, {**problem.headers, "Content-Type": response.content_type}, body)


def _without_orders(answer: Answer) -> Answer:
    """Return the answer with the ids only: the one who repeats the request may not see as much as then."""
    if answer.status >= 300:
        return answer
    told = orjson.loads(answer.body)
    headers = {name: value for name, value in answer.headers.items() if name != ETAG}
    return answer._replace(headers=headers, body=dumps(_ids_only(told)))


def _ids_only(told: dict[str, Json]) -> Json:
    results = told.get("results")
    if "_id" in told or not isinstance(results, list):
        return {"_id": told["_id"]}
    return {"results": [{k: v for k, v in each.items() if k != "order"} for each in results if isinstance(each, dict)]}
