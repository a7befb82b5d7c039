"""Revokes subjects and tokens, for operators: `/api/admin/revocations`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import time
from typing import Protocol

from aiohttp import hdrs, web

from services.common.documents import Json, dumps, iso_at
from services.common.fair_turns import FairTurns, Pace
from services.gateway.edge.principal import Principal
from services.gateway.http.body import read_json
from services.gateway.http.identity import principal_of
from services.gateway.http.paths import ADMIN
from services.gateway.http.problem_translation import as_problems
from services.gateway.http.problems import Kind, Problem
from services.gateway.http.revocation_input import is_id, parse_page, parse_revocation
from services.gateway.revocations import Revocation, RevocationsUnavailable, TooManyRevocations

REVOCATIONS = f"{ADMIN}revocations"
ONE = REVOCATIONS + "/{id}"
_LARGEST_BODY = 4096  # bytes
_BODY_SECONDS = 30.0


class Revokes(Protocol):
    """What carries it out; every method raises RevocationsUnavailable."""

    async def revoke(
        self,
        *,
        subject: str | None = None,
        token_id: str | None = None,
        issued_before: float | None = None,
        by: str = "",
    ) -> Revocation:
        """Refuse a subject or a token from now on; raise TooManyRevocations."""

    async def lift(self, id: str, by: str = "") -> Revocation | None:
        """End a revocation, and return it; None where there is none."""

    async def page(self, limit: int, after: str | None) -> list[Revocation]:
        """Return those that apply, newest first, below the one with the id ``after``."""


class RevocationsApi:
    """The three routes of a revocation's life; who may use them has been checked."""

    def __init__(self, revokes: Revokes, turns: FairTurns, account: Callable[[web.BaseRequest], str]) -> None:
        self._revokes = revokes
        self._turns = turns
        self._account = account

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [web.get(REVOCATIONS, self.list), web.post(REVOCATIONS, self.create), web.delete(ONE, self.delete)]

    async def list(self, request: web.Request) -> web.Response:
        """Answer the revocations that apply, newest first; ``Link: rel="next"`` leads to the page below."""
        with as_problems("query"):
            limit, after = parse_page(request.query.items())
        with _answered():
            found = await self._revokes.page(limit + 1, after)
        headers = {}
        if len(found) > limit:
            found = found[:limit]
            headers["Link"] = f'<{REVOCATIONS}?limit={limit}&after={found[-1].id}>; rel="next"'
        return _answer([_json(each) for each in found], headers=headers)

    async def create(self, request: web.Request) -> web.Response:
        """Revoke a subject or a token, and answer what is stored."""
        by: Principal = principal_of(request)
        with as_problems("body"):
            pace = Pace(self._turns, self._account(request))
            body = await read_json(request, limit=_LARGEST_BODY, deadline=_BODY_SECONDS, pace=pace)
            wanted = parse_revocation(body, time())
        with _answered():
            revocation = await self._revokes.revoke(**wanted._asdict(), by=by.subject)
        return _answer(_json(revocation), status=201)

    async def delete(self, request: web.Request) -> web.Response:
        """Lift a revocation, and answer what it was."""
        asked, by = request.match_info["id"], principal_of(request).subject
        with _answered():
            lifted = await self._revokes.lift(asked, by) if is_id(asked) else None
        if lifted is None:
            raise Problem(404, Kind.HTTP, "There is no revocation with this id; it may have expired.")
        return _answer(_json(lifted))


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except TooManyRevocations as error:
        detail = "The limit of stored revocations is reached: lift some, or wait until some expire."
        raise Problem(503, Kind.HTTP, detail, headers={hdrs.RETRY_AFTER: "60"}) from error
    except RevocationsUnavailable as error:
        detail = "MongoDB does not answer. A revocation may have been stored or lifted: check before you repeat it."
        raise Problem(503, Kind.UNAVAILABLE, detail, headers={hdrs.RETRY_AFTER: "2"}) from error


def _json(revocation: Revocation) -> Json:
    what: dict[str, Json] = {"subject": revocation.subject, "token_id": revocation.token_id}
    if revocation.issued_before is not None:
        what["issued_before"] = iso_at(revocation.issued_before)
    return {
        "id": revocation.id,
        **{name: value for name, value in what.items() if value is not None},
        "revoked_at": iso_at(revocation.revoked_at),
        "until": iso_at(revocation.until),
    }


def _answer(value: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    known = {hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    return web.Response(status=status, body=dumps(value), content_type="application/json", headers=known)
