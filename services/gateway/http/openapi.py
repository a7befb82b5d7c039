"""The OpenAPI 3.1 document of the REST API, generated from the models that validate the requests."""

from pydantic.json_schema import models_json_schema

from services.gateway.batches import OrderBatch
from services.gateway.http.event_schemas import STREAM_SCHEMAS
from services.gateway.http.openapi_answers import Schema, problems, ref
from services.gateway.http.openapi_orders import order_paths
from services.gateway.http.openapi_revocations import REVOCATION_SCHEMAS, revocation_paths
from services.gateway.http.openapi_schemas import HISTORY, PAYLOADS, PROBLEM, SESSION, TICKET, TOKEN
from services.gateway.http.openapi_sign_in import sign_in_paths, sign_in_schemas
from services.gateway.http.order_schema import ORDER_SCHEMA
from services.gateway.http.write_schema import BATCH_RESULT
from services.gateway.list_query import ListQuery
from services.gateway.orders import NewOrder, OrderChange


def openapi_document(version: str, *, tokens: bool = True, sign_in: bool = False) -> Schema:
    """Return the document as JSON values, of a gateway that asks for ``tokens`` or of one that does not.

    With ``sign_in``, people sign in there at an OpenID provider.
    """
    _, generated = models_json_schema(
        [(NewOrder, "validation"), (OrderChange, "validation"), (ListQuery, "validation"), (OrderBatch, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    schemas = generated["$defs"]
    query = schemas.pop("ListQuery")
    for name in ("PageMark", "KeyMark", "Place", "Element", "Choice"):
        schemas.pop(name, None)  # to clients a text
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Real-time orders",
            "version": version,
            "description": "Orders, and every change to them the moment it is committed.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            **order_paths(query),
            **(_of_tokens(sign_in=sign_in) if tokens else {}),
        },
        "components": {
            "schemas": {
                **schemas,
                "Order": ORDER_SCHEMA,
                "BatchResult": BATCH_RESULT,
                "History": HISTORY,
                **{name: STREAM_SCHEMAS[name] for name in PAYLOADS},
                **({"Ticket": TICKET, **REVOCATION_SCHEMAS} if tokens else {}),
                **(sign_in_schemas(by_provider=sign_in) if tokens else {}),
                "Problem": PROBLEM,
            },
            **({"securitySchemes": {"token": TOKEN, "session": SESSION}} if tokens else {}),
        },
        "security": [{"token": []}, {"session": []}] if tokens else [],
        "externalDocs": {"description": "The events of the stream, as AsyncAPI 3.", "url": "/api/asyncapi.json"},
    }


def _of_tokens(*, sign_in: bool) -> Schema:
    return {
        "/api/tickets": {"post": _ticket()},
        **revocation_paths(),
        **sign_in_paths(by_provider=sign_in),
    }


def _ticket() -> Schema:
    return {
        "operationId": "createTicket",
        "summary": "Get a ticket for one stream",
        "description": "For clients that can send no header, as EventSource: `?ticket=` opens one stream of events, "
        "over SSE or Socket.IO, with the rights of the token and until it expires. Only where the gateway asks for "
        "tokens.",
        "responses": {
            "201": {
                "description": "The ticket: for a single use, soon.",
                "content": {"application/json": {"schema": ref("Ticket")}},
            },
            **problems("404", "429"),
        },
    }
