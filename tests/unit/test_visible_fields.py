"""Which fields a setting names, and what is left of a document."""

import pytest

from services.common.cursor import LONGEST_CURSOR, Cursor, Position
from services.common.visible_fields import ALL_FIELDS, VisibleFields

DOCUMENT = {"_id": 1, "status": "pending", "card": "4111", "a b": 2}


@pytest.mark.parametrize(
    ("setting", "visible"),
    [
        ("*", ["_id", "status", "card", "a b"]),
        ("status", ["_id", "status"]),
        (" a b ,status,, status", ["_id", "status", "a b"]),
        ("_id", ["_id"]),
        ("Status,stat,status ", ["_id", "status"]),
        ("nothing_like_it", ["_id"]),
    ],
)
def test_a_document_keeps_its_id_and_the_fields_that_are_named(setting: str, visible: list[str]) -> None:
    fields = VisibleFields.parse(setting)
    assert list(fields.of(DOCUMENT)) == visible
    assert [name for name in DOCUMENT if fields.shows(name)] == visible
    assert VisibleFields.parse(str(fields)) == fields


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("", "must be names of fields, separated by commas, or * for all"),
        (",", "must be names of fields, separated by commas, or * for all"),
        ("*,status", "'*' is not the name of a field"),
        ("stat*", "'stat*' is not the name of a field"),
        ("$status", "'$status' is not the name of a field"),
        ("customer.card", "'customer.card' is a part of a field; name the whole field, as 'customer'"),
    ],
)
def test_a_setting_that_may_be_a_mistake_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match="field") as refused:
        VisibleFields.parse(setting)
    assert str(refused.value) == message


def test_an_epoch_says_which_fields_its_envelopes_have() -> None:
    settings = ["*", "status", "status,size", "size", "_id"]
    epochs = {setting: f"0123abcd{VisibleFields.parse(setting).mark}" for setting in settings}
    for setting, epoch in epochs.items():
        assert [one for one in settings if VisibleFields.parse(one).made(epoch)] == [setting]
        cursor = Cursor(epoch, Position(2**64 - 1, 2**32 - 1))
        assert Cursor.parse(str(cursor)) == cursor
        assert len(str(cursor)) <= LONGEST_CURSOR
    assert VisibleFields.parse("size, status").made(epochs["status,size"])
    assert ALL_FIELDS.made("0123abcd"), "those from before there was a setting show all"
