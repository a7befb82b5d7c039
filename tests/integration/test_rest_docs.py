"""The API's description matches the API, for programs and for people."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.front.checks import add_headers_to_all
from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.http.docs import Docs
from services.gateway.http.headers import add_security_headers
from services.gateway.http.openapi import openapi_document
from tests.integration.rest_api import JOHN, Api, Client, serve_orders


@pytest.fixture
async def docs() -> AsyncIterator[Client]:
    app = web.Application()
    add_headers_to_all(app, add_security_headers)
    app.add_routes(Docs(openapi_document("1.2.3"), asyncapi_document("1.2.3")).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def api(mongodb_uri: str) -> AsyncIterator[Api]:
    async with serve_orders(mongodb_uri) as api:
        yield api


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_programs_get_documents_whose_references_lead_somewhere(docs: Client) -> None:
    for name, dialect in (("openapi", "3.1.0"), ("asyncapi", "3.0.0")):
        reply = await docs.get(f"/api/{name}.json")
        document = await reply.json()
        assert (document[name], document["info"]["version"]) == (dialect, "1.2.3")
        found = set(references(document))
        assert found
        for reference in found:
            inner = document
            for step in reference.removeprefix("#/").split("/"):
                inner = inner[step.replace("~1", "/").replace("~0", "~")]


async def test_people_get_a_page_that_loads_nothing_and_runs_nothing(docs: Client) -> None:
    reply = await docs.get("/api/docs")
    page = await reply.text()
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert "PUT /api/orders/{id}" in page
    assert "<script" not in page
    assert "src=" not in page
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/api/orders", None),
        ("get", "/api/orders?limit=x", None),
        ("post", "/api/orders", JOHN),
        ("post", "/api/orders", {}),
        ("get", "/api/orders/{id}", None),
        ("get", "/api/orders/" + "0" * 24, None),
        ("put", "/api/orders/{id}", {"status": "shipped"}),
        ("put", "/api/orders/{id}", []),
        ("put", "/api/orders/" + "0" * 24, {"status": "shipped"}),
        ("patch", "/api/orders/{id}", {"status": "shipped"}),
        ("patch", "/api/orders/{id}", {"status": None}),
        ("post", "/api/orders:batch", {"operations": [{"operation": "INSERT", "order": JOHN}]}),
        ("post", "/api/orders:batch", {"operations": [{"operation": "DELETE", "id": "x"}]}),
        ("delete", "/api/orders/{id}", None),
        ("delete", "/api/orders/x", None),
    ],
)
async def test_every_answer_is_one_that_the_document_announces(api: Api, method: str, path: str, body: object) -> None:
    order = await (await api.client.post("/api/orders", json=JOHN)).json()
    reply = await api.client.request(method, path.format(id=order["_id"]), json=body)
    route = path.partition("?")[0] if "/api/orders/" not in path else "/api/orders/{id}"
    announced = openapi_document("1")["paths"][route][method]["responses"][str(reply.status)]
    assert reply.content_type in announced["content"]
    assert all(name in reply.headers for name in announced.get("headers", {}).keys() - {"Link"})


async def test_an_address_without_anything_leads_to_the_description(api: Api) -> None:
    reply = await api.client.get("/api/order")
    assert (reply.status, reply.headers["Link"]) == (404, '</api/docs>; rel="service-doc"')
    assert "/api/docs" in (await reply.json())["detail"]
