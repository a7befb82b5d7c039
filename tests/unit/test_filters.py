"""With a filter a client gets the orders that match, those that leave its view, and nothing else."""

import base64
import contextlib
import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.envelope import Operation
from services.common.filter_fields import FILTER_FIELDS
from services.common.ids import id_text
from services.common.visible_fields import ALL_FIELDS
from services.gateway.filters import (
    EVERYTHING,
    MAX_FILTERS,
    MAX_TEXT,
    MAX_VALUES,
    NOTHING,
    Filter,
    Interest,
    InvalidFilter,
    Verdict,
    from_text,
    parse_filter,
    to_text,
    union,
    verdict,
)
from tests.id_kinds import IDS

INSERT, UPDATE, DELETE = Operation.INSERT, Operation.UPDATE, Operation.DELETE
SHOW, LEFT, HIDE = Verdict.SHOW, Verdict.LEFT, Verdict.HIDE
SHIPPED, PENDING = {"status": "shipped"}, {"status": "pending"}


@dataclass
class Change:
    operation: Operation
    deciding: dict[str, Any] | None = None
    deciding_before: dict[str, Any] | None = None
    id: str = "a"


def one(**fields: Any) -> Interest:
    return frozenset({parse_filter(fields)})


@pytest.mark.parametrize(
    ("interest", "change", "expected"),
    [
        # no filter, and none at all
        (EVERYTHING, Change(INSERT, PENDING), SHOW),
        (EVERYTHING, Change(DELETE), SHOW),
        (NOTHING, Change(INSERT, PENDING), HIDE),
        (NOTHING, Change(UPDATE, None, None), HIDE),
        # into the view, within it, out of it, past it
        (one(status="shipped"), Change(INSERT, SHIPPED), SHOW),
        (one(status="shipped"), Change(INSERT, PENDING), HIDE),
        (one(status="shipped"), Change(UPDATE, SHIPPED, PENDING), SHOW),
        (one(status="shipped"), Change(UPDATE, SHIPPED, SHIPPED), SHOW),
        (one(status="shipped"), Change(UPDATE, PENDING, SHIPPED), LEFT),
        (one(status="shipped"), Change(UPDATE, PENDING, PENDING), HIDE),
        (one(status="shipped"), Change(DELETE, SHIPPED), SHOW),
        (one(status="shipped"), Change(DELETE, PENDING), HIDE),
        # an unknown order is sent rather than hidden
        (one(status="shipped"), Change(UPDATE, PENDING, None), LEFT),
        (one(status="shipped"), Change(UPDATE, None, PENDING), SHOW),
        (one(status="shipped"), Change(INSERT, None), SHOW),
        (one(status="shipped"), Change(DELETE, None), SHOW),
        # documents of others: a field that is missing or of another type fits no value
        (one(status="shipped"), Change(INSERT, {}), HIDE),
        (one(status="shipped"), Change(INSERT, {"status": ["shipped"]}), HIDE),
        (one(status="shipped"), Change(INSERT, {"status": None}), HIDE),
        (one(status="shipped"), Change(UPDATE, {}, SHIPPED), LEFT),
        (one(status="shipped"), Change(UPDATE, PENDING, {}), HIDE),
        # several values of one field: any; several fields: all
        (one(status=["pending", "shipped"]), Change(UPDATE, PENDING, SHIPPED), SHOW),
        (one(status="shipped", customer_name="Ada"), Change(INSERT, SHIPPED | {"customer_name": "Ada"}), SHOW),
        (one(status="shipped", customer_name="Ada"), Change(INSERT, SHIPPED | {"customer_name": "Bo"}), HIDE),
        (
            one(status="shipped", customer_name="Ada"),
            Change(UPDATE, SHIPPED | {"customer_name": "Bo"}, SHIPPED | {"customer_name": "Ada"}),
            LEFT,
        ),
        # ids: an order cannot leave them
        (one(ids=["a", "b"]), Change(UPDATE, PENDING, None), SHOW),
        (one(ids=["b"]), Change(UPDATE, PENDING, None), HIDE),
        (one(ids=["a"]), Change(DELETE, None), SHOW),
        (one(ids=["b"]), Change(DELETE, None), HIDE),
        (one(ids=["b"], status="shipped"), Change(UPDATE, PENDING, SHIPPED), HIDE),
        # several filters: shown if any shows, left if it was in any and is in none
        (one(status="shipped") | one(status="pending"), Change(UPDATE, PENDING, SHIPPED), SHOW),
        (one(status="shipped") | one(ids=["a"]), Change(UPDATE, PENDING, SHIPPED), SHOW),
        (one(status="shipped") | one(ids=["b"]), Change(UPDATE, PENDING, SHIPPED), LEFT),
        (one(status="shipped") | EVERYTHING, Change(INSERT, PENDING), SHOW),
    ],
)
def test_the_verdict_on_each_change(interest: Interest, change: Change, expected: Verdict) -> None:
    assert verdict(interest, change) is expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Filter()),
        ({"status": "shipped"}, Filter(status=("shipped",))),
        ({"status": ["shipped", "pending", "shipped"]}, Filter(status=("pending", "shipped"))),
        ({"ids": ["b", "a"], "customer_name": "Ada"}, Filter(ids=("a", "b"), customer_name=("Ada",))),
        ({"status": None, "ids": None, "customer_name": None}, Filter()),
    ],
)
def test_equal_wishes_make_equal_filters(asked: dict[str, Any], expected: Filter) -> None:
    assert parse_filter(asked) == expected


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (None, ""),
        (7, ""),
        ("shipped", ""),
        ([], ""),
        ({"colour": "red"}, ""),
        ({"status": 7}, "status"),
        ({"status": []}, "status"),
        ({"status": [7]}, "status"),
        ({"status": {"$gt": ""}}, "status"),
        ({"status": "x" * 201}, "status"),
        ({"status": "lost"}, "status"),
        ({"status": ["pending", "Pending"]}, "status"),
        ({"customer_name": ""}, "customer_name"),
        ({"customer_name": ["Ada", "\udcff"]}, "customer_name"),
        ({"customer_name": ["x" * 201]}, "customer_name"),
        ({"customer_name": [None]}, "customer_name"),
        ({"ids": "a"}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": [{"$ne": 1}]}, "ids"),
    ],
)
def test_an_invalid_filter_is_refused_and_the_field_named(asked: object, field: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        parse_filter(asked)
    assert refused.value.field == field
    assert 0 < len(str(refused.value)) <= 200


def test_a_clients_input_is_not_sent_back_to_it() -> None:
    for asked in ({"x" * 60_000: 1}, {"status": "x" * 60_000}):
        with pytest.raises(InvalidFilter) as refused:
            parse_filter(asked)
        assert len(str(refused.value)) <= 200


def ids(count: int, length: int = 24) -> list[str]:
    return [f"{number:0{length}x}" for number in range(count)]


def test_the_filters_of_a_client_take_two_kilobytes_of_text() -> None:
    largest = next(n for n in range(100, 0, -1) if len(to_text(frozenset({Filter(ids=tuple(ids(n)))}))) <= MAX_TEXT)
    assert largest == 56
    interest = union([parse_filter({"ids": ids(largest)})], ALL_FIELDS)
    assert from_text(to_text(interest)) == interest


@pytest.mark.parametrize(
    ("asked", "field", "limit"),
    [
        ([{"ids": ids(57)}], "ids", MAX_TEXT),
        ([{"ids": ids(30)}, {"ids": ids(40)}], "ids", MAX_TEXT),
        (
            [{"ids": ids(5), "customer_name": ["x" * 200 for _ in "ab"] + [c * 200 for c in "cdefghij"]}],
            "customer_name",
            MAX_TEXT,
        ),
        ([{"customer_name": ["é" * 200, "ü" * 200, "ñ" * 200, "ö" * 200]}], "customer_name", MAX_TEXT),
        ([{"customer_name": ["\x01" * 200, "\x02" * 200]}], "customer_name", MAX_TEXT),
        ([{"ids": ids(101, 3)}], "ids", MAX_VALUES),
        ([{"ids": ids(60, 3)}, {"ids": ids(60, 4)}], "ids", MAX_VALUES),
    ],
)
def test_more_is_refused_with_the_field_and_the_limit(asked: list[dict[str, Any]], field: str, limit: int) -> None:
    with pytest.raises(InvalidFilter, match=str(limit)) as refused:
        union(map(parse_filter, asked), ALL_FIELDS)
    assert refused.value.field == field


def test_an_interest_that_is_longer_than_any_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.filters._FILTERS", None)
    text = to_text(frozenset({Filter(ids=tuple(ids(57)))}))
    assert len(text) > MAX_TEXT
    with pytest.raises(InvalidFilter):
        from_text(text)


def test_the_digits_of_an_object_id_may_be_in_upper_case() -> None:
    assert parse_filter({"ids": ["6B0344AAFF000000000000AB", "Order-A"]}).ids == ("6b0344aaff000000000000ab", "Order-A")


def test_an_id_may_be_of_any_kind() -> None:
    texts = {id_text(one) for one in IDS if len(id_text(one)) < 200}
    assert len(texts) > 70
    for text in texts:
        assert from_text(to_text(union([parse_filter({"ids": [text]})], ALL_FIELDS))) == {Filter(ids=(text,))}


@pytest.mark.parametrize("id", ["", "events", "~i05", "~x", "\n", "\ud800"])
def test_a_malformed_id_is_refused(id: str) -> None:
    with pytest.raises(InvalidFilter, match="must be an order's id") as refused:
        parse_filter({"ids": ["a", id]})
    assert refused.value.field == "ids"
    written = base64.urlsafe_b64encode(json.dumps([{"ids": [id]}]).encode()).decode().rstrip("=")
    with pytest.raises(InvalidFilter):
        from_text(written)


def test_a_filter_has_exactly_the_fields_of_the_stream_and_each_decides() -> None:
    assert Filter.__struct_fields__ == ("ids", *FILTER_FIELDS)
    for field in FILTER_FIELDS:
        wanted = parse_filter({field: "pending"})
        assert wanted == Filter(**{field: ("pending",)})
        assert wanted.needs_images
        assert wanted.holds("1", {field: "pending"})
        assert not wanted.holds("1", {field: "shipped"})
        assert wanted.narrowed(Filter(**{field: ("shipped",)})) is None


def test_only_so_many_filters_are_put_together() -> None:
    filters = [Filter(ids=(str(number),)) for number in range(MAX_FILTERS + 1)]
    assert len(union(filters[:-1], ALL_FIELDS)) == MAX_FILTERS
    assert union([filters[0]] * 50, ALL_FIELDS) == frozenset(filters[:1])
    with pytest.raises(InvalidFilter, match=f"at most {MAX_FILTERS} filters: .* or open several connections"):
        union(filters, ALL_FIELDS)


values = st.none() | st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3)
statuses = st.none() | st.lists(st.sampled_from(["pending", "shipped", "delivered"]), min_size=1, max_size=3)
filters = st.builds(
    lambda ids, status, customer: parse_filter({"ids": ids, "status": status, "customer_name": customer}),
    st.none()
    | st.lists(st.sampled_from(IDS).map(id_text).filter(lambda text: len(text) < 200), min_size=1, max_size=3),
    statuses,
    values,
)


@given(st.frozensets(filters, max_size=4))
def test_an_interest_reads_back_as_it_was_written(interest: Interest) -> None:
    text = to_text(interest)
    assert from_text(text) == interest
    assert text.replace("-", "").replace("_", "").isalnum() or text == ""
    assert to_text(frozenset(reversed(list(interest)))) == text


def test_everything_is_no_text_and_nothing_is_some() -> None:
    assert to_text(EVERYTHING) == ""
    assert to_text(NOTHING) != ""


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "%%%%",
        "é",
        "AAAA",
        packed({}),
        packed("text"),
        packed([7]),
        packed([{"colour": "red"}]),
        packed([{"status": {"$gt": ""}}]),
        packed([{"ids": [str(number)]} for number in range(MAX_FILTERS + 1)]),
        base64.urlsafe_b64encode(b"[" * 40_000).decode(),
    ],
)
def test_a_malformed_interest_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilter):
        from_text(text)


@given(st.text(max_size=60))
def test_no_text_does_harm(text: str) -> None:
    with contextlib.suppress(InvalidFilter):
        from_text(text)
