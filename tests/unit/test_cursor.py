"""Positions and cursors: one text each, ordered as the changes are, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.cursor import LAST_ORDINAL, Cursor, InvalidCursor, Position, cluster_time, timestamp

timestamps = st.integers(0, 2**64 - 1)
places = st.builds(Position, timestamps, st.integers(0, LAST_ORDINAL))
views = st.just("") | st.from_regex(r"[0-9a-z]{8}", fullmatch=True)
cursors = st.builds(Cursor, st.from_regex(r"[0-9a-z]{1,32}", fullmatch=True), places, views)


@given(timestamps)
def test_a_cluster_time_is_the_number_of_its_time_stamp(ts: int) -> None:
    assert cluster_time(timestamp(ts)) == ts
    assert timestamp(ts).as_datetime().timestamp() == ts >> 32


@given(places)
def test_a_position_reads_back_as_it_was_written(place: Position) -> None:
    assert Position.parse(str(place)) == place


@given(cursors)
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_is_written_the_same_again(text: str) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidCursor:
        return
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "e1",
        "e1.",
        "e1.5",
        "e1.5-",
        "e1.-5",
        ".5-0",
        "e1.5-0 ",
        " e1.5-0",
        "e1.5-0\n",
        "e1.05-0",
        "e1.5-00",
        "e1.+5-0",
        "e1.5_0-0",
        "e1.-1-0",
        "e1.5--1",
        "E1.5-0",
        "e_1.5-0",
        "e_1234567.5-0",
        "e_123456789.5-0",
        "e_1234567A.5-0",
        "_12345678.5-0",
        "e_12345678_12345678.5-0",
        "e1.5-0_12345678",
        "e1.5-0-0",
        "e1.5.0",
        "e1.e2.5-0",
        "e1.18446744073709551616-0",
        "e1.0-4294967296",
        "e1.99999999999999999999999-0",
        "e1.٥-0",
        "é.5-0",
        f"{'e' * 33}.5-0",
        "e1.5-0~",
        "x" * 100_000,
    ],
)
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor) as refused:
        Cursor.parse(text)
    assert len(str(refused.value)) < 100


def test_positions_are_ordered_by_number_and_not_as_text() -> None:
    ordered = [Position(0, 0), Position(9, 10), Position(10, 2), Position(10, 9), Position(10, 10), Position(2**63, 0)]
    assert sorted(ordered) == ordered


@given(timestamps, places)
def test_the_end_of_a_cluster_time_is_after_all_of_it_and_before_the_next(ts: int, place: Position) -> None:
    assert (place <= Position.end_of(ts)) == (place.ts <= ts)


@given(st.integers(1, 2**64 - 1), places)
def test_before_a_cluster_time_is_before_all_of_it_and_after_the_last(ts: int, place: Position) -> None:
    assert (place > Position.before(ts)) == (place.ts >= ts)


def test_changes_of_one_cluster_time_are_counted_from_zero() -> None:
    first = Position.before(7).next_at(7)
    assert (first, first.next_at(7), first.next_at(7).next_at(8)) == (Position(7, 0), Position(7, 1), Position(8, 0))
