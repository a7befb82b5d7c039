"""One event in every form that goes over a wire, encoded once in each."""

import json

import pytest

from services.common.cursor import Position
from services.common.documents import Json
from services.common.envelope import Operation
from services.gateway.event import SEPARATOR, Event
from services.gateway.ring import Ring
from services.gateway.wire.form import Form
from tests.stream_events import change, event

CHANGE = change(7, Operation.UPDATE, data={"status": "shipped"}, before={"status": "pending"})
JSON = CHANGE.envelope


def made() -> Event:
    return Event(CHANGE.envelope, CHANGE.images)


def test_the_gateways_fields_are_read_from_the_envelope() -> None:
    found = made()
    assert (found.operation, found.id, found.cursor) == (Operation.UPDATE, "a", "e1.7-0")
    assert found.position == Position(7, 0)
    assert (found.deciding, found.deciding_before) == ({"status": "shipped"}, {"status": "pending"})
    assert event(1).deciding is None
    assert event(1).deciding_before is None


@pytest.mark.parametrize(
    ("form", "suffix", "expected"),
    [
        (Form.POLLING, "", b'42["orderUpdate",' + JSON + b',"e1.7-0"]'),
        (Form.POLLING, "~abc", b'42["orderUpdate",' + JSON + b',"e1.7-0~abc"]'),
        (Form.SSE_PLAIN, "", b"id: e1.7-0\nevent: orderUpdate\ndata: " + JSON + b"\n\n"),
    ],
)
def test_each_form_carries_the_envelope_as_the_watcher_wrote_it(form: Form, suffix: str, expected: bytes) -> None:
    assert made().encoded(form, suffix) == expected


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("suffix", ["", "~abc"])
def test_whoever_has_rights_gets_a_cursor_that_tells_of_them(form: Form, suffix: str) -> None:
    data: dict[str, Json] = {
        "status": "shipped",
        "cursor": "e1.7-0",
        "_id": '"cursor":"e1.7-0"',
    }  # an order may have any field
    found = change(7, Operation.UPDATE, data=data, before={"status": "pending"})
    told = Event(found.envelope, found.images).encoded(form, suffix, "k7xq2mzp")
    plain = Event(found.envelope, found.images).encoded(form, suffix)
    assert told.count(b"e1_k7xq2mzp.7-0") == 2, "in the envelope, and in what is sent back"
    assert told.count(b"e1.7-0") == 2, "as the order has it"
    if form in (Form.POLLING, Form.SSE_PLAIN):
        assert told.replace(b"e1_k7xq2mzp.7-0", b"e1.7-0") == plain


def test_a_websocket_gets_the_packet_in_one_frame() -> None:
    packet = made().encoded(Form.POLLING)
    assert 125 < len(packet) < 65536
    assert made().encoded(Form.WEBSOCKET) == b"\x81\x7e" + len(packet).to_bytes(2, "big") + packet


def test_http_1_1_gets_the_event_in_one_chunk() -> None:
    plain = made().encoded(Form.SSE_PLAIN)
    assert made().encoded(Form.SSE) == f"{len(plain):x}\r\n".encode() + plain + b"\r\n"


@pytest.mark.parametrize("form", Form)
def test_it_is_encoded_once_in_each_form(form: Form) -> None:
    found = made()
    assert found.encoded(form) is found.encoded(form)


def test_the_clients_part_of_an_offset_is_not_kept() -> None:
    """There are as many suffixes as clients like; each was kept as long as the ring had the event."""
    ring = Ring(10)
    ring.reset("e1", Position(0, 0))
    found = made()
    ring.append([found])
    before = ring.bytes
    for form in Form:
        assert b"~x" in found.encoded(form, "~x") or form not in (Form.WEBSOCKET, Form.POLLING)
        assert b"e1_k7xq2mzp." in found.encoded(form, "", "k7xq2mzp")
    assert found.left.encoded(Form.WEBSOCKET, "~x")
    assert ring.bytes == before
    assert found.encoded(Form.WEBSOCKET, "~x") is not found.encoded(Form.WEBSOCKET, "~x")


def test_of_an_order_of_any_shape_only_the_strings_that_filters_look_at_are_decoded() -> None:
    shaped = event(
        1,
        Operation.UPDATE,
        data={"status": ["shipped"], "customer_name": "Ada", "notes": "x" * 1000},
        before={"status": 7, "customer_name": {"a": "Ada"}},
    )
    assert (shaped.deciding, shaped.deciding_before) == ({"customer_name": "Ada"}, {})


def test_an_order_that_left_shows_nothing_of_itself_in_any_form() -> None:
    left = made().left
    assert left is not made().left
    for form in Form:
        encoded = left.encoded(form)
        assert b"shipped" not in encoded
        assert b"e1.7-0" in encoded
    assert json.loads(left.envelope)["left"] is True
    assert made().encoded(Form.SSE_PLAIN) != left.encoded(Form.SSE_PLAIN)


def test_several_events_of_one_form_go_out_together() -> None:
    batch = SEPARATOR[Form.POLLING].join(each.encoded(Form.POLLING) for each in (event(1), event(2)))
    assert [packet[:2] for packet in batch.split(b"\x1e")] == [b"42", b"42"]
    assert {form: SEPARATOR[form] for form in Form if SEPARATOR[form]} == {Form.POLLING: b"\x1e"}
