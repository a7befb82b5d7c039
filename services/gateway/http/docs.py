"""Serves the API's description: the OpenAPI document, and the same as an HTML page."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from aiohttp import web

from services.common.documents import dumps
from services.gateway.http.markdown import blocks, inline

_METHODS = ("get", "post", "put", "delete")
# Named colours, the light ones first: tests/unit/test_docs_page.py computes their contrast.
_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1d2733; --link: #0b57a4; --visited: #6b3fa0;
  --code: #eef2f7; --line: #dde4ec; }
@media (prefers-color-scheme: dark) {
  :root { --page: #11161c; --text: #d7dee6; --link: #7ab8ff; --visited: #c9a7f5; --code: #1d2631; --line: #2c3846; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--text);
  background: var(--page); }
a { color: var(--link); }
a:visited { color: var(--visited); }
code { background: var(--code); padding: .1em .4em; border-radius: .3em; }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
pre { background: var(--code); padding: .75rem; overflow-x: auto; }
/* Five columns do not fit a phone: there each event is a block, with its meaning below its other fields. */
@media (max-width: 40rem) {
  .events tr:first-child { position: absolute; clip-path: inset(50%); }
  .events tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .events td { display: inline-block; border-bottom: 0; }
  .events td:last-child { display: block; }
  .events td:nth-child(2)::before { content: "from "; }
  .events td:nth-child(3)::before { content: "over "; }
}
"""
# The page needs no script, and no style but this one.
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Docs:
    """`/api/openapi.json` and `/api/docs`, both rendered once."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._json = dumps(document)
        self._page = docs_page(document).encode()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, ready for ``app.add_routes``."""
        return [web.get("/api/openapi.json", self.document), web.get("/api/docs", self.page)]

    async def document(self, _: web.Request) -> web.Response:
        """Answer the OpenAPI document."""
        return web.Response(body=self._json, content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def page(self, _: web.Request) -> web.Response:
        """Answer the page."""
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
        return web.Response(body=self._page, content_type="text/html", charset="utf-8", headers=headers)


def docs_page(document: dict[str, Any]) -> str:
    """Return the OpenAPI document as an HTML page."""
    info = document["info"]
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}: API</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{_STYLE}</style>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{blocks(info['description'])}",
            '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
            *_operations(document["paths"]),
            *_stream(document["x-stream"]),
            "<h1>Schemas</h1>",
            *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
            "</html>",
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
    yield blocks(stream["description"])
    rows = "".join(
        f"<tr><td><code>{escape(event['name'])}</code></td><td>{escape(event['sender'])}</td>"
        f"<td>{escape(event['over'])}</td><td>{_link(event['payload'])}</td><td>{inline(event['meaning'])}</td></tr>"
        for event in stream["events"]
    )
    head = "".join(f"<th>{title}</th>" for title in ("Event", "From", "Over", "Payload", "Meaning"))
    yield f'<table class="events"><tr>{head}</tr>{rows}</table>'


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
        f"{_table('Field', fields)}<details><summary>JSON Schema</summary><pre>{escape(text)}</pre></details>"
    )


def _field(schema: dict[str, Any]) -> str:
    """Describe in one line what a field may hold."""
    values = [json.dumps(value) for value in schema.get("enum", [])]
    kinds = ", ".join(f"`{value}`" for value in values) or _kind(schema)
    return " ".join(part for part in (f"({kinds})" if kinds else "", schema.get("description", "")) if part)


def _kind(schema: dict[str, Any]) -> str:
    kinds = schema.get("type", [])
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)
