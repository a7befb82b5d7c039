"""Parses the query of a stream's URL: which orders, and from which cursor on."""

import re
from typing import NamedTuple

from aiohttp import web

from services.common.error_text import error_text
from services.common.filter_fields import FILTER_FIELDS
from services.common.visible_fields import VisibleFields
from services.gateway.filters import Interest, InvalidFilter, parse_filter, union
from services.gateway.http.problems import Kind, Problem
from services.gateway.input_rules import FieldFault

_FIELD_OF = {"id": "ids", **{field: field for field in FILTER_FIELDS}}
_PARAMETER_OF = {field: parameter for parameter, field in _FIELD_OF.items()}
_SINCE, _LAST_EVENT_ID = _CURSORS = ("since", "Last-Event-ID")
_TICKET = "ticket"
_LAST_EVENT_IDS = frozenset({"lasteventid", "evslasteventid"})  # lastEventId, last-event-id, evs_last_event_id, …


_LIMIT = "limit"
LARGEST_LIMIT = 999_999


class StreamQuery(NamedTuple):
    """The parsed query; ``limit`` is how many orders to show first."""

    interest: Interest
    since: str | None
    limit: int | None = None


def parse_query(request: web.BaseRequest, visible: VisibleFields, *, of_list: bool = False) -> StreamQuery:
    """Parse ``?id=…&status=…&customer_name=…``, each repeatable, and ``since``; raise a Problem for anything else.

    And for a field that is not visible. One ``of_list`` may have a ``limit``, too.

    EventSource polyfills that cannot set headers reconnect with `Last-Event-ID` as a parameter, in some spelling. The
    cursor that a browser sends by itself on reconnecting is newer than the one that the page wrote into the URL.
    """
    asked: dict[str, list[str]] = {}
    cursors: dict[str, str] = {}
    limit: int | None = None
    for name, value in request.query.items():
        if name == _TICKET:
            continue  # of the one who asks, not of what is asked for
        if name in _FIELD_OF:
            asked.setdefault(_FIELD_OF[name], []).append(value)
            continue
        if of_list and name == _LIMIT:
            if limit is not None:
                raise _unprocessable(name, "is given more than once")
            limit = _limit(value)
            continue
        known = _LAST_EVENT_ID if _plain(name) in _LAST_EVENT_IDS else name
        if known not in _CURSORS:
            raise _unprocessable(name, "is not an accepted parameter")
        if known in cursors:
            raise _unprocessable(name, "is given more than once")
        cursors[known] = value
    since = request.headers.get("Last-Event-ID") or cursors.get(_LAST_EVENT_ID) or cursors.get(_SINCE)
    try:
        return StreamQuery(union([parse_filter(asked)], visible), since, limit)
    except InvalidFilter as error:
        raise _unprocessable(_PARAMETER_OF.get(error.field, error.field), error_text(error)) from error


def _limit(value: str) -> int:
    limit = int(value) if re.fullmatch(r"[0-9]{1,6}", value) else 0
    if not limit:
        raise _unprocessable(_LIMIT, f"must be a whole number from 1 to {LARGEST_LIMIT}")
    return limit


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _unprocessable(parameter: str, message: str) -> Problem:
    return Problem(
        422,
        Kind.INVALID,
        f"{parameter[:100]}: {message}",
        faults=[FieldFault(parameter[:100], message)],
        place="query",
    )
