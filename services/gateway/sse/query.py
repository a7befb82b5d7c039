"""Parses the query of a stream's URL: which orders, and from which cursor on."""

from typing import NamedTuple

from aiohttp import web

from services.common.error_text import error_text
from services.gateway.filters import Interest, InvalidFilter, parse_filter, union
from services.gateway.http.problems import Kind, Problem
from services.gateway.orders import FieldFault

_FIELD_OF = {"id": "ids", "status": "status", "customer_name": "customer_name"}
_PARAMETER_OF = {field: parameter for parameter, field in _FIELD_OF.items()}
_SINCE, _LAST_EVENT_ID = _CURSORS = ("since", "Last-Event-ID")
_TICKET = "ticket"
_LAST_EVENT_IDS = frozenset({"lasteventid", "evslasteventid"})  # lastEventId, last-event-id, evs_last_event_id, …


class StreamQuery(NamedTuple):
    """The parsed query."""

    interest: Interest
    since: str | None


def parse_query(request: web.BaseRequest) -> StreamQuery:
    """Parse ``?id=…&status=…&customer_name=…``, each repeatable, and ``since``; raise a Problem for anything else.

    EventSource polyfills that cannot set headers reconnect with `Last-Event-ID` as a parameter, in some spelling. The
    cursor that a browser sends by itself on reconnecting is newer than the one that the page wrote into the URL.
    """
    asked: dict[str, list[str]] = {}
    cursors: dict[str, str] = {}
    for name, value in request.query.items():
        if name == _TICKET:
            continue  # of the one who asks, not of what is asked for
        if name in _FIELD_OF:
            asked.setdefault(_FIELD_OF[name], []).append(value)
            continue
        known = _LAST_EVENT_ID if _plain(name) in _LAST_EVENT_IDS else name
        if known not in _CURSORS:
            raise _unprocessable(name, "is not an accepted parameter")
        if known in cursors:
            raise _unprocessable(name, "is given more than once")
        cursors[known] = value
    since = request.headers.get("Last-Event-ID") or cursors.get(_LAST_EVENT_ID) or cursors.get(_SINCE)
    try:
        return StreamQuery(union([parse_filter(asked)]), since)
    except InvalidFilter as error:
        raise _unprocessable(_PARAMETER_OF.get(error.field, error.field), error_text(error)) from error


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _unprocessable(parameter: str, message: str) -> Problem:
    return Problem(
        422, Kind.INVALID, "The query is not valid.", faults=[FieldFault(parameter[:100], message)], place="query"
    )
