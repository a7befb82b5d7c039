"""The page of the API can be read: its Markdown is rendered, its colours have contrast, and it tells of the stream."""

import re
from html import unescape

import pytest

from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.http.docs import docs_page
from services.gateway.http.markdown import blocks, inline
from services.gateway.http.openapi import openapi_document
from services.gateway.http.page_style import STYLE

AA = 4.5  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `b_c` d", "a <code>b_c</code> d"),
        ("`**x**` <i>", "<code>**x**</code> &lt;i&gt;"),
        ("**a `b`**", "<strong>a <code>b</code></strong>"),
        ("[the `x`](#stream)", '<a href="#stream">the <code>x</code></a>'),
        ('[x](https://a.example/?"b)', '<a href="https://a.example/?&quot;b">x</a>'),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
        ("one ` alone", "one ` alone"),
    ],
)
def test_markdown_in_a_line(text: str, html: str) -> None:
    assert inline(text) == html


def test_markdown_of_several_paragraphs() -> None:
    assert blocks("a\nb\n\n- c\n- `d`\n\ne") == "<p>a b</p><ul><li>c</li><li><code>d</code></li></ul><p>e</p>"


def test_the_page_prints_no_markup() -> None:
    page = re.sub(
        r"<(style|pre)\b[^>]*>.*?</\1>",
        "",
        docs_page(openapi_document("1", sign_in=True), asyncapi_document("1")),
        flags=re.DOTALL,
    )
    text = unescape(re.sub(r"<[^>]*>", "", page))
    assert "`" not in text
    assert "**" not in text
    assert "](" not in text


def test_the_page_tells_of_both_transports_the_envelope_and_the_filters() -> None:
    stream = asyncapi_document("1")
    page = docs_page(openapi_document("1"), stream)
    for word in (
        "Socket.IO",
        "Server-Sent Events",
        "orderUpdate",
        "resync",
        "subscribe",
        'id="Envelope"',
        'id="Filter"',
    ):
        assert word in page
    schemas = stream["components"]["schemas"]
    for schema in ("Envelope", "Filter"):
        for field in schemas[schema]["properties"]:
            assert f"<td><code>{field}</code></td>" in page
    assert {message["payload"]["$ref"].rpartition("/")[2] for message in stream["components"]["messages"].values()} <= (
        schemas.keys()
    )
    for sender, over, event in (
        ("server", "Socket.IO, Server-Sent Events", "orderUpdate"),
        ("server", "Socket.IO", "mark"),
        ("client", "Socket.IO", "subscribe"),
    ):
        assert f"<tr><td><code>{event}</code></td><td>{sender}</td><td>{over}</td>" in page


def test_only_a_gateway_that_asks_for_tokens_describes_them() -> None:
    with_tokens, without = openapi_document("1"), openapi_document("1", tokens=False)
    assert "/api/tickets" in with_tokens["paths"]
    assert with_tokens["security"] == [{"token": []}, {"session": []}]
    assert "/auth/session" in with_tokens["paths"]
    assert "/auth/sign-in" not in with_tokens["paths"]
    assert "/auth/sign-in" in openapi_document("1", sign_in=True)["paths"]
    assert not [path for path in without["paths"] if path.startswith(("/api/tickets", "/auth/"))]
    assert without["security"] == []
    assert "securitySchemes" not in without["components"]


def test_the_statuses_of_each_operation_are_sorted() -> None:
    for item in openapi_document("1", sign_in=True)["paths"].values():
        for method in {"get", "post", "put", "delete"} & item.keys():
            statuses = list(item[method]["responses"])
            assert statuses == sorted(statuses)


def _colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+):\s*(#[0-9a-f]{6})", css))


def _luminance(colour: str) -> float:
    """Return the relative luminance that WCAG defines."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_colours_have_contrast_in_both_modes() -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    modes = [_colours(light), _colours(dark)]
    assert modes[0].keys() == modes[1].keys()
    for mode in modes:
        for ink in ("text", "link", "visited"):
            for paper in ("page", "code"):
                darker, lighter = sorted((_luminance(mode[ink]), _luminance(mode[paper])))
                assert (lighter + 0.05) / (darker + 0.05) >= AA, (ink, paper)
    # Colours come by name only, or the figures above would not be all.
    rest = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    assert not re.findall(r"#[0-9a-f]{3,8}\b|rgb|hsl", rest)
