"""The operations on orders and on their stream, as the OpenAPI document describes them."""

from services.gateway.batches import LARGEST_BATCH
from services.gateway.filters import MAX_TEXT
from services.gateway.http.history_api import DEFAULT_LIMIT, LARGEST_LIMIT
from services.gateway.http.list_text import LIST_PARAMETERS, LIST_TEXT
from services.gateway.http.openapi_answers import OF_BODY, Schema, ok, problems, ref
from services.gateway.http.openapi_schemas import EVENT
from services.gateway.http.order_schema import SENT_ID_SCHEMA
from services.gateway.http.write_schema import CONDITIONS, CONDITIONS_AND_KEY, ETAG, HEADERS


def order_paths(query: Schema) -> Schema:
    """Return the paths; ``query`` is the schema of a list's parameters."""
    return {
        "/api/orders": {"get": _list(query), "post": _create()},
        "/api/orders/{id}": {
            "parameters": [_ID],
            "get": _get(),
            "put": _update(),
            "patch": _patch(),
            "delete": _delete(),
        },
        "/api/orders:batch": {"post": _batch()},
        "/api/orders/{id}/history": {"parameters": [_ID], "get": _history()},
        "/api/orders/events": {"get": _events(query)},
    }


def _list(query: Schema) -> Schema:
    link = {
        "description": '`rel="next"` leads to the page that follows; absent on the last. With `sort`, `q` or '
        "`updated_since` there are `prev`, which leads back, and `first`, too.",
        "schema": {"type": "string"},
    }
    # The formats of exports are in the text: with them here, generated clients could not tell that they get JSON.
    listed = ok("One page of orders.", {"type": "array", "items": ref("Order")}, Link=link)
    return {
        "operationId": "listOrders",
        "summary": "List orders, newest first",
        "description": f"{LIST_TEXT}\n\n{_TAIL_TEXT}",
        "parameters": [_parameter(name, query["properties"][name]) for name in query["properties"]],
        # As JSON only: with a second type, generated clients could not tell which one they have.
        "responses": {"200": listed, **problems("414", "422", "429", "505")},
    }


_TAIL_TEXT = (
    "With `Accept: text/event-stream` the list is followed by every later change: events `connected`, `snapshot` "
    "(several, with the orders), `live`, and then those of `/api/orders/events`. Then `limit` may be up to 999999 and "
    "is of the orders, not of the changes; without it, all orders are sent. Besides it, only the filters are accepted; "
    "`since` and `ticket` are as for `/api/orders/events`."
)
_PAST_CURSOR = r"^[0-9a-z]{1,32}(_[0-9a-z]{8})?\.(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,8}|4294967295)$"


def _history() -> Schema:
    limit = {
        "name": "limit",
        "in": "query",
        "description": "How many changes at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT},
    }
    before = {
        "name": "before",
        "in": "query",
        "description": "Only changes before this cursor; the `Link` of the previous page has it.",
        "schema": {"type": "string", "pattern": _PAST_CURSOR},
    }
    link = {
        "description": '`rel="next"` leads further back; absent where nothing older is to be found.',
        "schema": {"type": "string"},
    }
    return {
        "operationId": "getOrderHistory",
        "summary": "Show what changed in an order, newest first",
        "description": "As far back as the changes are kept. A request searches for a bounded time: a page may have "
        "fewer changes than `limit`, or none, and lead on to the next. Changes that the token does not allow to see "
        "are left out. An order that was deleted is shown to those who could see it last.",
        "parameters": [limit, before],
        "responses": {
            "200": {
                "description": "Its changes, newest first.",
                "headers": {"Link": link},
                "content": {"application/json": {"schema": ref("History")}},
            },
            **problems("404", "422"),
        },
    }


def _create() -> Schema:
    location = {"description": "The URL of the new order.", "schema": {"type": "string"}}
    return {
        "operationId": "createOrder",
        "summary": "Create an order",
        HEADERS: CONDITIONS_AND_KEY,
        "requestBody": _body("NewOrder"),
        "responses": {
            "201": {
                **ok("The order as stored.", ref("Order"), Location=location, ETag=ETAG),
                "links": _LINKS,
            },
            **problems(*OF_BODY),
        },
    }


def _get() -> Schema:
    return {
        "operationId": "getOrder",
        "summary": "Read an order",
        HEADERS: CONDITIONS,
        "responses": {
            "200": ok("The order.", ref("Order"), ETag=ETAG),
            "304": {
                "description": "The client has it already: `If-None-Match` names its tag.",
                "headers": {"ETag": ETAG},
            },
            **problems("400", "404", "412", "422"),
        },
    }


def _update() -> Schema:
    return {
        "operationId": "updateOrder",
        "summary": "Change some fields of an order",
        "description": "Fields that are left out stay as they are.",
        HEADERS: CONDITIONS_AND_KEY,
        "requestBody": _body("OrderChange"),
        "responses": _changed(),
    }


def _patch() -> Schema:
    return {
        "operationId": "patchOrder",
        "summary": "Change some fields of an order by a merge patch",
        "description": "RFC 7396. Every field of an order is required, so none can be removed by null.",
        HEADERS: CONDITIONS_AND_KEY,
        "requestBody": _body("OrderChange", "application/merge-patch+json", "application/json"),
        "responses": _changed(),
    }


def _changed() -> Schema:
    return {
        "200": ok("The order after the change.", ref("Order"), ETag=ETAG),
        **problems("404", *OF_BODY),
    }


def _batch() -> Schema:
    return {
        "operationId": "writeOrders",
        "summary": f"Create, change and delete up to {LARGEST_BATCH} orders, all or none",
        "description": "In one transaction, each operation on another order. What cannot be done is named in `errors` "
        "by a pointer into the body, with its own `status` and `type`; the answer's status is that of the first. "
        "`Stream-Cursor` is the place of the last change.",
        HEADERS: CONDITIONS_AND_KEY,
        "requestBody": _body("OrderBatch"),
        "responses": {
            "200": ok("The orders after their writes, in the order of the operations.", ref("BatchResult")),
            **problems("404", *OF_BODY),
        },
    }


def _delete() -> Schema:
    return {
        "operationId": "deleteOrder",
        "summary": "Delete an order",
        HEADERS: CONDITIONS_AND_KEY,
        "responses": {
            "200": ok("The order as it was.", ref("Order")),
            **problems("400", "404", "409", "412", "422"),
        },
    }


def _events(query: Schema) -> Schema:
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
                "content": {"text/event-stream": {"schema": EVENT}},
            },
            **problems("422"),
        },
    }


def _parameter(name: str, schema: Schema) -> Schema:
    shown = {key: value for key, value in schema.items() if key != "title" and value != []}
    return {"name": name, "in": "query", "description": LIST_PARAMETERS[name], "schema": shown}


def _body(model: str, *types: str) -> Schema:
    return {"required": True, "content": {each: {"schema": ref(model)} for each in types or ("application/json",)}}


_LINKS = {
    operation: {"operationId": operation, "parameters": {"id": "$response.body#/_id"}}
    for operation in ("getOrder", "updateOrder", "patchOrder", "deleteOrder")
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The order's `_id`, as in JSON.",
    "schema": SENT_ID_SCHEMA,
}
