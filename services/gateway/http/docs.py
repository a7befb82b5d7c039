"""Serves the API's descriptions: of REST by OpenAPI, of the stream by AsyncAPI, and both as one HTML page."""

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from aiohttp import web

from services import __version__
from services.common.documents import dumps
from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.http.fixed_document import FixedDocument
from services.gateway.http.markdown import blocks, inline
from services.gateway.http.openapi import openapi_document
from services.gateway.http.page_style import POLICY, STYLE
from services.gateway.http.paths import DOCS

_METHODS = ("get", "post", "put", "patch", "delete")
_FOR_PROGRAMS = (
    '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1) and '
    '<a href="asyncapi.json">asyncapi.json</a> (AsyncAPI 3). <a href="/">The orders themselves</a>.</p>'
)


@cache
def docs(*, tokens: bool, sign_in: bool) -> "Docs":
    """Return those of a gateway like this, which a process renders once, for all gateways in it and in its forks."""
    return Docs(openapi_document(__version__, tokens=tokens, sign_in=sign_in), asyncapi_document(__version__))


class Docs:
    """`/api/openapi.json`, `/api/asyncapi.json` and `/api/docs`, each rendered once."""

    def __init__(self, rest: dict[str, Any], stream: dict[str, Any]) -> None:
        self._rest = FixedDocument(dumps(rest), "application/json")
        self._stream = FixedDocument(dumps(stream), "application/json")
        page = docs_page(rest, stream).encode()
        self._page = FixedDocument(page, "text/html; charset=utf-8", {"Content-Security-Policy": POLICY})

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [
            web.get("/api/openapi.json", self.rest),
            web.get("/api/asyncapi.json", self.stream),
            web.get(DOCS, self.page),
        ]

    async def rest(self, request: web.Request) -> web.Response:
        """Answer the OpenAPI document."""
        return self._rest.answer(request)

    async def stream(self, request: web.Request) -> web.Response:
        """Answer the AsyncAPI document."""
        return self._stream.answer(request)

    async def page(self, request: web.Request) -> web.Response:
        """Answer the page."""
        return self._page.answer(request)


def docs_page(rest: dict[str, Any], stream: dict[str, Any]) -> str:
    """Return the OpenAPI and the AsyncAPI document as one HTML page."""
    info = rest["info"]
    schemas = {**rest["components"]["schemas"], **stream["components"]["schemas"]}
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}: API</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{STYLE}</style><main>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{blocks(info['description'])}",
            _FOR_PROGRAMS,
            *_operations(rest["paths"]),
            *_stream(stream),
            "<h1>Schemas</h1>",
            *(_schema(name, schema) for name, schema in schemas.items()),
            "</main></html>",
        ]
    )


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, item in paths.items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            yield f"<h2><code>{method.upper()} {escape(path)}</code> {inline(operation['summary'])}</h2>"
            yield blocks(operation.get("description", ""))
            parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
            yield _table("Parameter", {one["name"]: one["description"] for one in parameters})
            if body := operation.get("requestBody"):
                (media, content), *_ = body["content"].items()
                yield f"<p>Body: {escape(media)}, {_link(content['schema'])}</p>"
            yield _table("Status", {status: one["description"] for status, one in operation["responses"].items()})


def _stream(stream: dict[str, Any]) -> Iterator[str]:
    yield '<h1 id="stream">The stream</h1>'
    yield blocks(stream["info"]["description"])
    for channel in stream["channels"].values():
        yield f"<h2><code>{escape(channel['address'])}</code> {escape(channel['title'])}</h2>"
        yield blocks(channel["description"])
    received = {name for one in stream["operations"].values() if one["action"] == "receive" for name in _names(one)}
    rows = "".join(_event(name, message, name in received, stream) for name, message in _messages(stream))
    head = "".join(f"<th>{title}</th>" for title in ("Event", "From", "Over", "Payload", "Meaning"))
    yield f'<table class="events"><tr>{head}</tr>{rows}</table>'


def _messages(stream: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the messages that are sent by themselves: an answer stands beside its question."""
    answers = {name for one in stream["operations"].values() for name in _names(one.get("reply", {}))}
    return ((name, one) for name, one in stream["components"]["messages"].items() if name not in answers)


def _names(operation: dict[str, Any]) -> Iterator[str]:
    return (message["$ref"].rpartition("/")[2] for message in operation.get("messages", []))


def _event(name: str, message: dict[str, Any], is_received: bool, stream: dict[str, Any]) -> str:
    over = ", ".join(channel["title"] for channel in stream["channels"].values() if name in channel["messages"])
    cells = (
        f"<code>{escape(name)}</code>",
        "client" if is_received else "server",
        escape(over),
        _link(message["payload"]),
        inline(message["summary"]),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _table(title: str, rows: dict[str, str]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{inline(text)}</td></tr>" for name, text in rows.items()
    )
    return f"<table><tr><th>{title}</th><th>Meaning</th></tr>{lines}</table>"


def _link(schema: dict[str, str]) -> str:
    name = escape(schema["$ref"].rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>'


def _schema(name: str, schema: dict[str, Any]) -> str:
    """Show the fields as a table, and the whole JSON Schema for the details."""
    fields = {field: _field(one) for field, one in schema.get("properties", {}).items()}
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    return (
        f'<h2 id="{escape(name)}"><code>{escape(name)}</code></h2>{blocks(schema.get("description", ""))}'
        f"{_table('Field', fields)}<details><summary>JSON Schema</summary>"
        f'<pre tabindex="0">{escape(text)}</pre></details>'
    )


def _field(schema: dict[str, Any]) -> str:
    """Describe in one line what a field may hold."""
    values = [json.dumps(value) for value in schema.get("enum", [])]
    kinds = ", ".join(f"`{value}`" for value in values) or _kind(schema)
    return " ".join(part for part in (f"({kinds})" if kinds else "", schema.get("description", "")) if part)


def _kind(schema: dict[str, Any]) -> str:
    kinds = schema.get("type", [])
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)
