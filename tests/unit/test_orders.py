"""The rules for clients' writes and queries, as tables of input and error."""

import pytest

from services.gateway.input_rules import FieldFault, InvalidInput
from services.gateway.list_query import ListQuery, parse_query
from services.gateway.orders import NewOrder, parse_change, parse_id, parse_new
from services.gateway.page_mark import PageMark

GOOD = {"customer_name": "John Doe", "product_name": "Laptop", "status": "pending"}


def faults(call: object, *arguments: object) -> tuple[FieldFault, ...]:
    assert callable(call)
    with pytest.raises(InvalidInput) as refused:
        call(*arguments)
    return refused.value.faults


def test_a_complete_order_is_taken_as_it_is() -> None:
    assert parse_new(GOOD) == NewOrder(customer_name="John Doe", product_name="Laptop", status="pending")


def test_space_around_a_name_is_cut_off() -> None:
    assert parse_new({**GOOD, "customer_name": " \tJohn  Doe \n"}).customer_name == "John  Doe"


@pytest.mark.parametrize("name", ["x", "x" * 200, "Zoë 🦊", "Robert'); DROP TABLE", "$gt", "a.b", " " + "x" * 200])
def test_names_are_any_text_of_1_to_200_characters(name: str) -> None:
    assert parse_new({**GOOD, "product_name": name}).product_name == name.strip()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "must not be empty"),
        ("   ", "must not be empty"),
        ("x" * 201, "must have at most 200 characters"),
        ("a\x00b", "must not contain control characters"),
        ("a\nb", "must not contain control characters"),
        ("a\x7fb", "must not contain control characters"),
        ("a\ud800b", "must be valid Unicode text"),
        (None, "must be a string"),
        (5, "must be a string"),
        (True, "must be a string"),
        (float("inf"), "must be a string"),
        ([], "must be a string"),
        ({"$gt": ""}, "must be a string"),
        ({"$where": "1"}, "must be a string"),
    ],
)
def test_a_wrong_name_is_named(value: object, message: str) -> None:
    assert faults(parse_new, {**GOOD, "customer_name": value}) == (FieldFault("customer_name", message),)


@pytest.mark.parametrize("status", ["", "Pending", "pending ", "lost", None, 1, {"$ne": None}, ["pending"]])
def test_only_the_three_states_are_a_status(status: object) -> None:
    message = "must be one of 'pending', 'shipped', 'delivered'"
    assert faults(parse_new, {**GOOD, "status": status}) == (FieldFault("status", message),)


@pytest.mark.parametrize("extra", ["_id", "updated_at", "$set", "a.b", "", "__proto__"])
def test_a_field_that_an_order_does_not_have_is_refused(extra: str) -> None:
    assert faults(parse_new, {**GOOD, extra: "x"}) == (FieldFault(extra, "is not an accepted field"),)


@pytest.mark.parametrize("body", [None, 1, "text", [], [GOOD], True])
def test_a_body_that_is_no_object_is_refused_as_a_whole(body: object) -> None:
    assert faults(parse_new, body) == (FieldFault("", "must be a JSON object"),)


def test_every_fault_is_named_at_once() -> None:
    assert {fault.field for fault in faults(parse_new, {"status": "lost", "more": 1})} == {
        *("customer_name", "product_name", "status", "more")
    }


def test_a_body_of_a_thousand_fields_is_refused_as_a_whole() -> None:
    assert faults(parse_new, {str(n): n for n in range(1000)}) == (
        FieldFault("", "must not have more than 100 fields"),
    )


def test_a_query_of_a_thousand_parameters_is_refused_as_a_whole() -> None:
    refused = (FieldFault("", "must not have more than 400 parameters"),)
    assert faults(parse_query, [(str(n), "") for n in range(1000)]) == refused
    assert faults(parse_query, [("id", "")] * 1000) == refused


def test_faults_are_not_made_that_are_not_shown() -> None:
    numbers = iter(range(1000))
    InvalidInput(FieldFault(str(number), "") for number in numbers)
    assert next(numbers) == 20


def test_ninety_faults_are_answered_with_twenty_short_ones() -> None:
    found = faults(parse_new, {**GOOD, **{str(n) + "x" * 500: n for n in range(90)}})
    assert len(found) == 20
    assert all(len(fault.field) <= 100 for fault in found)


def test_a_complaint_never_repeats_the_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_new({"customer_name": {"secret": 1}, "product_name": "secret\x00", "status": "secret"})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"status": "shipped"}, {"customer_name": "A", "product_name": "B"}, {**GOOD, "status": "delivered"}]
)
def test_a_change_is_any_of_the_fields_and_only_those(change: dict[str, str]) -> None:
    assert parse_change(change).fields() == change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, FieldFault("", "needs at least one of customer_name, product_name, status")),
        ({"status": None}, FieldFault("status", "must not be null; leave the field out to keep it")),
        ({"customer_name": ""}, FieldFault("customer_name", "must not be empty")),
        ({"customer_name": {"$ne": ""}}, FieldFault("customer_name", "must be a string")),
        ({"status": "lost"}, FieldFault("status", "must be one of 'pending', 'shipped', 'delivered'")),
        ({"status": "shipped", "_id": "0" * 24}, FieldFault("_id", "is not an accepted field")),
        ({"$set": {"status": "shipped"}}, FieldFault("$set", "is not an accepted field")),
        ([], FieldFault("", "must be a JSON object")),
    ],
)
def test_a_wrong_change_is_named(change: object, fault: FieldFault) -> None:
    assert faults(parse_change, change) == (fault,)


def test_a_list_without_conditions_shows_the_newest_hundred() -> None:
    assert parse_query([]) == ListQuery(limit=100, after=None, id=(), status=(), customer_name=())


def test_a_list_may_be_narrowed_and_continued() -> None:
    query = parse_query([("limit", "500"), ("status", "shipped"), ("customer_name", " Zoë "), ("after", "a" * 24)])
    assert (query.limit, query.status, query.customer_name) == (500, ("shipped",), (" Zoë ",))
    assert query.after == PageMark("a" * 24)


def test_conditions_may_be_given_several_times() -> None:
    query = parse_query([("status", "shipped"), ("id", "A" * 24), ("status", "pending"), ("id", "~i5"), ("id", "B 5")])
    assert query == ListQuery(status=("shipped", "pending"), id=("a" * 24, "~i5", "B 5"))


@pytest.mark.parametrize(
    ("pairs", "fault"),
    [
        ([("status", "shipped"), ("status", "lost")], "must be one of 'pending', 'shipped', 'delivered'"),
        ([("status", "")], "must be one of 'pending', 'shipped', 'delivered'"),
        ([("status", "pending")] * 101, "must not be given more than 100 times"),
        ([("customer_name", "")], "must not be empty"),
        ([("customer_name", "x" * 201)], "must have at most 200 characters"),
        ([("id", "")], "must be an order's id, as lists and events give it"),
        ([("id", "a" * 24), ("id", "~i05")], "must be an order's id, as lists and events give it"),
    ],
)
def test_a_wrong_condition_is_refused(pairs: list[tuple[str, str]], fault: str) -> None:
    assert faults(parse_query, pairs) == (FieldFault(pairs[0][0], fault),)


@pytest.mark.parametrize("limit", ["0", "501", "-1", "", "ten", "1e2", "1_0", " 5", "+5", "5.0", "٣", "9" * 5000])
def test_a_limit_that_is_no_number_from_1_to_500_is_refused(limit: str) -> None:
    assert faults(parse_query, [("limit", limit)]) == (FieldFault("limit", "must be a whole number from 1 to 500"),)


@pytest.mark.parametrize(
    "after", ["", "~", "~!!", "~AAAA", "~b" + "A" * 50_000, "~~", "~~0.x", "~~10001.x", "~~1.~i05"]
)
def test_an_after_that_no_list_gave_out_is_refused(after: str) -> None:
    assert [fault.field for fault in faults(parse_query, [("after", after)])] == ["after"]


@pytest.mark.parametrize("name", ["status[$ne]", "a[$gt]", "$where", "skip", "Status", "since"])
def test_an_unknown_parameter_is_refused(name: str) -> None:
    assert faults(parse_query, [(name, "x")]) == (FieldFault(name, "is not an accepted field"),)


def test_a_parameter_that_is_given_twice_is_refused() -> None:
    pairs = [("limit", "5"), ("limit", "5")]
    assert faults(parse_query, pairs) == (FieldFault("limit", "is given more than once"),)


@pytest.mark.parametrize("id", ["", ".", "events", "~", "~i05", "~x", "\n", "\ud800"])
def test_a_malformed_id_is_refused(id: str) -> None:
    assert faults(parse_id, id) == (FieldFault("id", "must be an order's id, as lists and events give it"),)


def test_an_id_may_be_written_in_capitals() -> None:
    assert parse_id("ABCDEF" * 4) == "abcdef" * 4
