"""The parts of the OpenAPI document that its operations share: answers, problems, and references to schemas."""

from typing import Any

Schema = dict[str, Any]

_CURSOR = (
    "The position of this response in the stream of changes; send it as `since` to follow from there. "
    "Absent while the gateway does not know the stream."
)
_PROBLEMS = {
    "400": "The body is not JSON, or `Idempotency-Key`, `If-Match` or `If-None-Match` is malformed.",
    "401": "Only where the gateway asks for tokens: there is none, and no session, or it is not valid "
    "(`…:not-authenticated`).",
    "403": "The page's origin is not allowed, or it used the session of another origin (`…:foreign-page`). Or, where "
    "the gateway asks for tokens, the token lacks the scope (`…:scope-missing`), or the order would be one that its "
    "bearer may not see (`…:outside-rights`).",
    "404": "There is nothing with this id, or at this address.",
    "406": "The client accepts no media type that this resource has (`Accept`); nothing was done.",
    "408": "The body did not arrive in time.",
    "409": "Another transaction holds the order (`…:order-busy`), or another order has a value that must be unique "
    "(`…:value-taken`): nothing was written. Or another request with this key has no answer yet "
    "(`…:request-in-progress`).",
    "412": "The order is not in the state that `If-Match` or `If-None-Match` requires. Nothing was written.",
    "413": "The body is too large, or the order would become too large (`…:order-too-large`).",
    "414": "The URL of the next page would be too long.",
    "415": "The body is of another type, or compressed.",
    "429": "You have exceeded a limit (`…:rate-limited`); try again after `Retry-After` seconds. Nothing was done. "
    "Where something is limited, every answer has `RateLimit` and `RateLimit-Policy`.",
    "422": "The input breaks the rules, or a rule of the collection (`…:rule-broken`); `errors` names each field. Or "
    "the key belongs to another request (`…:key-reused`).",
    "500": "A server error, logged under the id in `incident`.",
    "505": "An export needs HTTP/1.1.",
    "503": "MongoDB does not answer: nothing was written (`…:store-unavailable`), or it is unknown whether the write "
    "was done (`…:outcome-unknown`). Or it is too slow for this (`…:store-too-slow`), or the orders' collection "
    "cannot be served (`…:collection-unfit`). Or the server is overloaded, and nothing was done "
    "(`…:overloaded`): try again after `Retry-After` seconds.",
}
_LIMIT_HEADERS: Schema = {
    "Retry-After": {"description": "In so many seconds.", "schema": {"type": "integer"}},
    "RateLimit-Policy": {
        "description": "The limit: `q` at once, refilled evenly over `w` seconds. By what the request costs, it is "
        "`reads`, `writes`, `expensive` (lists of more than 100 orders) or `handshakes` (streams).",
        "schema": {"type": "string", "examples": ['"reads";q=6000;w=60']},
    },
    "RateLimit": {
        "description": "What is left of the limit: `r` now, and no more than these within `t` seconds.",
        "schema": {"type": "string", "examples": ['"reads";r=5999;t=1']},
    },
}
_OF_ALL = ("401", "403", "406", "429", "500", "503")
# What a request with a body may be refused with, too.
OF_BODY = ("400", "408", "409", "412", "413", "415", "422")


def ok(description: str, schema: Schema, **headers: Schema) -> Schema:
    """Return the answer to a request that has succeeded, with the place in the stream that it stands for."""
    cursor = {"description": _CURSOR, "schema": {"type": "string", "examples": ["e1.7711109000000000001-0"]}}
    return {
        "description": description,
        "headers": {"Stream-Cursor": cursor, **headers},
        "content": {"application/json": {"schema": schema}},
    }


def problems(*statuses: str) -> Schema:
    """Return the errors with these statuses, and those that every operation has."""
    content = {"application/problem+json": {"schema": ref("Problem")}}
    found = {status: {"description": _PROBLEMS[status], "content": content} for status in sorted({*statuses, *_OF_ALL})}
    found["429"] = {**found["429"], "headers": _LIMIT_HEADERS}
    found["503"] = {**found["503"], "headers": {"Retry-After": _LIMIT_HEADERS["Retry-After"]}}
    return found


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}
