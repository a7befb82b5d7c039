"""What a body is said to be is read as RFC 9110 has it, whatever else the header has in it."""

import pytest
from multidict import CIMultiDict

from services.gateway.edge.media_type import MediaType, media_type
from services.gateway.wire.handshake import Handshake

UNKNOWN = MediaType("application/octet-stream")


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("application/json", MediaType("application/json")),
        ("Application/JSON ; Charset=UTF-8", MediaType("application/json", "utf-8")),
        ('application/json;charset="utf-8"', MediaType("application/json", "utf-8")),
        ("application/json; a=b; charset=latin-1; c=d", MediaType("application/json", "latin-1")),
        ("application/merge-patch+json;", MediaType("application/merge-patch+json")),
        ("text/plain; application/json", MediaType("text/plain")),
        ("text/plain, application/json", UNKNOWN),
        ("application/json/x", UNKNOWN),
        ("application json", UNKNOWN),
        ("", UNKNOWN),
        (";" * 8_000, UNKNOWN),
        ("(" * 8_000, UNKNOWN),
        ("application/json" + ';a="\\"' * 1_000, MediaType("application/json")),
    ],
)
def test_a_type_is_read(header: str, read: MediaType) -> None:
    assert media_type(Handshake("/", {}, CIMultiDict({"Content-Type": header}), "")) == read


def test_a_body_of_no_type_is_of_an_unknown_one() -> None:
    assert media_type(Handshake("/", {}, CIMultiDict(), "")) == UNKNOWN
