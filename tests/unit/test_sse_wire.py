"""Blocks of the event stream format, as section 9.2 of the HTML standard reads them."""

from services.gateway.wire import sse


def test_an_event_is_its_id_its_name_and_one_line_of_data() -> None:
    assert sse.event("connected", b'{"a":1}', "e1.7-0") == b'id: e1.7-0\nevent: connected\ndata: {"a":1}\n\n'


def test_an_event_without_an_id_leaves_the_clients_own_alone() -> None:
    assert sse.event("status", b"{}") == b"event: status\ndata: {}\n\n"


def test_a_mark_moves_the_id_and_shows_nothing() -> None:
    assert sse.mark("e1.7-0") == b"id: e1.7-0\n\n"


def test_a_comment_is_a_line_that_starts_with_a_colon() -> None:
    assert sse.comment("still here") == b": still here\n\n"


def test_the_waiting_time_is_in_milliseconds() -> None:
    assert sse.retry(1500) == b"retry: 1500\n\n"


def test_a_chunk_says_its_length_in_hexadecimal_bytes() -> None:
    assert sse.chunk("ü".encode() * 8) == b"10\r\n" + "ü".encode() * 8 + b"\r\n"
    assert sse.LAST_CHUNK == b"0\r\n\r\n"
