"""The OpenAPI 3.1 document of the REST API, generated from the models that validate the requests."""

from typing import Any

from pydantic.json_schema import models_json_schema

from services.gateway.filters import MAX_TEXT
from services.gateway.http.events import EVENTS, STREAM_SCHEMAS, STREAM_TEXT
from services.gateway.orders import MAX_REPEATS, ListQuery, NewOrder, OrderChange

_Schema = dict[str, Any]

_CURSOR = (
    "The position of this response in the stream of changes; send it as `since` to follow from there. "
    "Absent while the gateway does not know the stream."
)
_PROBLEMS = {
    "400": "The body is not JSON.",
    "401": "Only where the gateway asks for tokens: there is none, or it is not valid (`…:not-authenticated`).",
    "403": "The page's origin is not allowed. Or, where the gateway asks for tokens, the token lacks the scope "
    "(`…:scope-missing`), or the order would be one that its bearer may not see (`…:outside-rights`).",
    "404": "There is no order with this id.",
    "408": "The body did not arrive in time.",
    "409": "Another transaction holds the order (`…:order-busy`), or another order has a value that must be unique "
    "(`…:value-taken`). Nothing was written.",
    "413": "The body is too large, or the order would become too large (`…:order-too-large`).",
    "415": "The body is not application/json.",
    "429": "Too many within a short time.",
    "422": "The input breaks the rules, or a rule of the collection (`…:rule-broken`); `errors` names each field.",
    "500": "A server error, logged under the id in `incident`.",
    "503": "MongoDB does not answer: nothing was written (`…:store-unavailable`), or it is unknown whether the write "
    "was done (`…:outcome-unknown`). Or it is too slow for this (`…:store-too-slow`), or the orders' collection cannot "
    "be served (`…:collection-unfit`).",
}
_OF_ALL = ("401", "403", "500", "503")
_OF_BODY = ("400", "408", "409", "413", "415", "422")


def openapi_document(version: str) -> _Schema:
    """Return the document as JSON values."""
    _, generated = models_json_schema(
        [(NewOrder, "validation"), (OrderChange, "validation"), (ListQuery, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    schemas = generated["$defs"]
    query = schemas.pop("ListQuery")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Real-time orders",
            "version": version,
            "description": "Orders, and every change to them the moment it is committed.",
        },
        "paths": {
            "/api/orders": {"get": _list(query), "post": _create()},
            "/api/orders/{id}": {"parameters": [_ID], "get": _get(), "put": _update(), "delete": _delete()},
            "/api/orders/events": {"get": _events(query)},
            "/api/tickets": {"post": _ticket()},
        },
        "components": {
            "schemas": {**schemas, "Order": _ORDER, **STREAM_SCHEMAS, "Ticket": _TICKET, "Problem": _PROBLEM},
            "securitySchemes": {"token": _TOKEN},
        },
        "security": [{}, {"token": []}],
        # OpenAPI cannot describe events; an extension does.
        "x-stream": {
            "description": STREAM_TEXT.strip(),
            "events": [{**event._asdict(), "payload": _ref(event.payload)} for event in EVENTS],
        },
    }


def _list(query: _Schema) -> _Schema:
    link = {"description": '`rel="next"` leads to the page below; absent on the last.', "schema": {"type": "string"}}
    orders = {"type": "array", "items": _ref("Order")}
    return {
        "operationId": "listOrders",
        "summary": "List orders, newest first",
        "description": "The list is a snapshot: exactly the orders at the position of `Stream-Cursor`.",
        "parameters": [_parameter(name, query["properties"][name]) for name in query["properties"]],
        "responses": {"200": _ok("One page of orders.", orders, Link=link), **_problems("422")},
    }


def _create() -> _Schema:
    location = {"description": "The URL of the new order.", "schema": {"type": "string"}}
    return {
        "operationId": "createOrder",
        "summary": "Create an order",
        "requestBody": _body("NewOrder"),
        "responses": {"201": _ok("The order as stored.", _ref("Order"), Location=location), **_problems(*_OF_BODY)},
    }


def _get() -> _Schema:
    return {
        "operationId": "getOrder",
        "summary": "Read an order",
        "responses": {"200": _ok("The order.", _ref("Order")), **_problems("404", "422")},
    }


def _update() -> _Schema:
    return {
        "operationId": "updateOrder",
        "summary": "Change some fields of an order",
        "description": "Fields that are left out stay as they are.",
        "requestBody": _body("OrderChange"),
        "responses": {"200": _ok("The order after the change.", _ref("Order")), **_problems("404", *_OF_BODY)},
    }


def _delete() -> _Schema:
    return {
        "operationId": "deleteOrder",
        "summary": "Delete an order",
        "responses": {"200": _ok("The order as it was.", _ref("Order")), **_problems("404", "409", "422")},
    }


def _events(query: _Schema) -> _Schema:
    since = {"name": "since", "in": "query", "description": "A cursor to follow from.", "schema": {"type": "string"}}
    ticket = {
        "name": "ticket",
        "in": "query",
        "description": "From `POST /api/tickets`, in place of a token.",
        "schema": {"type": "string"},
    }
    filters = [_parameter(name, query["properties"][name]) for name in ("id", "status", "customer_name")]
    return {
        "operationId": "followOrders",
        "summary": "Follow the changes as Server-Sent Events",
        "description": "Events `connected`, `orderUpdate`, `resync` and `status`; each event's id is its cursor. "
        "[The stream](#stream) describes them. "
        f"All filters together may take {MAX_TEXT} bytes as JSON in base64: some 55 ids.",
        "parameters": [since, ticket, *filters],
        "responses": {
            "200": {
                "description": "A stream that does not end.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **_problems("422"),
        },
    }


def _ticket() -> _Schema:
    return {
        "operationId": "createTicket",
        "summary": "Get a ticket for one stream",
        "description": "For clients that can send no header, as EventSource: `?ticket=` opens one stream of events, "
        "over SSE or Socket.IO, with the rights of the token and until it expires. Only where the gateway asks for "
        "tokens.",
        "responses": {
            "201": {
                "description": "The ticket: for a single use, soon.",
                "content": {"application/json": {"schema": _ref("Ticket")}},
            },
            **_problems("404", "429"),
        },
    }


def _parameter(name: str, schema: _Schema) -> _Schema:
    meaning = {
        "limit": "How many orders at most.",
        "after": "Continue below the order with this id; the `Link` of the previous page has it.",
        "id": f"Only these orders; up to {MAX_REPEATS} times.",
        "status": f"Only orders with one of these statuses; up to {MAX_REPEATS} times.",
        "customer_name": f"Only orders of one of these customers, compared exactly; up to {MAX_REPEATS} times.",
    }
    shown = {key: value for key, value in schema.items() if key != "title" and value != []}
    return {"name": name, "in": "query", "description": meaning[name], "schema": shown}


def _body(model: str) -> _Schema:
    return {"required": True, "content": {"application/json": {"schema": _ref(model)}}}


def _ok(description: str, schema: _Schema, **headers: _Schema) -> _Schema:
    cursor = {"description": _CURSOR, "schema": {"type": "string", "examples": ["e1.7711109000000000001-0"]}}
    return {
        "description": description,
        "headers": {"Stream-Cursor": cursor, **headers},
        "content": {"application/json": {"schema": schema}},
    }


def _problems(*statuses: str) -> _Schema:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in sorted({*statuses, *_OF_ALL})}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_ID_TEXT = {"type": "string", "minLength": 1, "examples": ["6b0344aaff000000000000ab", "Order-7", "~i5"]}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The order's `_id`, as in JSON.",
    "schema": _ID_TEXT,
}
_ORDER: _Schema = {
    "type": "object",
    "title": "Order",
    "description": "Orders that other programs wrote may lack fields, have more, and have any type in them.",
    "required": ["_id"],
    "properties": {
        "_id": {
            **_ID_TEXT,
            "description": "Identifies the order in URLs, filters and events; unique. 24 hexadecimal digits, unless "
            "another program chose a different id: a string stands for itself, and ids that could be mistaken for "
            "others are marked with `~` (`~i5` is the number 5).",
        },
        "customer_name": {"description": "The customer.", "examples": ["John Doe"]},
        "product_name": {"description": "The ordered product.", "examples": ["Laptop"]},
        "status": {"description": "`pending`, `shipped` or `delivered`.", "examples": ["pending"]},
        "updated_at": {"description": "Last change, ISO 8601 UTC.", "examples": ["2026-01-01T00:00:00.000Z"]},
    },
}
_TICKET: _Schema = {
    "type": "object",
    "title": "Ticket",
    "required": ["ticket", "expires_in"],
    "properties": {
        "ticket": {"type": "string"},
        "expires_in": {"type": "integer", "description": "Seconds in which it must be used."},
    },
}
_TOKEN: _Schema = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Where the gateway asks for tokens (`AUTH=jwt`), every request below `/api/` needs one, except for "
    "this description: with the scope `orders:read`, or `orders:write` to write. Orders outside of its rights do not "
    "exist.",
}
_PROBLEM: _Schema = {
    "type": "object",
    "title": "Problem",
    "description": "An error, as defined by RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Identifies the kind of problem, for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "incident": {"type": "string", "description": "The id under which a server error is logged."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "field", "message"],
                "properties": {
                    "in": {"enum": ["body", "query", "path"]},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "pointer": {"type": "string", "description": "JSON pointer into the body."},
                },
            },
        },
    },
}
