"""The envelope has the names and the order that the contract gives."""

from services.common.cursor import Cursor, Position
from services.common.envelope import Operation, encode_envelope, left_filter

CURSOR = str(Cursor("e1", Position(7, 2)))


def test_an_envelope_is_written_as_the_contract_says() -> None:
    envelope = encode_envelope(Operation.UPDATE, "a1", {"status": "shipped"}, CURSOR, "2026-01-01T00:00:00.000Z")
    assert envelope == (
        b'{"operation":"UPDATE","id":"a1","data":{"status":"shipped"},"cursor":"e1.7-2",'
        b'"at":"2026-01-01T00:00:00.000Z"}'
    )


def test_an_unknown_order_is_null() -> None:
    assert b'"data":null' in encode_envelope(Operation.DELETE, "a1", None, CURSOR, "")


def test_an_order_that_leaves_a_filter_looks_deleted_and_says_that_it_is_not() -> None:
    assert left_filter("a1", CURSOR, "2026-01-01T00:00:00.000Z") == (
        b'{"operation":"DELETE","id":"a1","data":null,"cursor":"e1.7-2","at":"2026-01-01T00:00:00.000Z","left":true}'
    )
