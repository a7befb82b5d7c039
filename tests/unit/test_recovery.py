"""A session is recovered only with an id that was given out under the same secret, and with a cursor."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.common.cursor import Cursor, InvalidCursor, Position
from services.common.visible_fields import ALL_FIELDS
from services.gateway.filters import EVERYTHING, parse_filter, to_text, union
from services.gateway.group import offset_suffix
from services.gateway.recovery import Offset, SessionIds

HERE = Cursor("e1", Position(7, 2))
SHIPPED = frozenset({parse_filter({"status": "shipped"})})


def test_an_id_is_known_by_every_replica_with_the_secret_and_by_no_other() -> None:
    pid = SessionIds("secret").issue()
    assert SessionIds("secret").is_genuine(pid)
    assert not SessionIds("other").is_genuine(pid)


def test_an_earlier_secret_still_counts_and_the_newest_signs() -> None:
    old, new = SessionIds("old"), SessionIds("new", "old")
    assert new.is_genuine(old.issue())
    assert not old.is_genuine(new.issue())
    assert SessionIds("new").is_genuine(new.issue())


def test_without_a_secret_ids_are_good_in_their_own_process_also_when_the_secret_comes() -> None:
    one, other = SessionIds(), SessionIds()
    pid = one.issue()
    assert one.is_genuine(pid)
    assert not other.is_genuine(pid)
    one.use("secret")
    assert one.is_genuine(pid)
    assert SessionIds("secret").is_genuine(one.issue())


def test_no_two_ids_are_equal() -> None:
    ids = SessionIds("secret")
    assert len({ids.issue() for _ in range(1000)}) == 1000


@example(0, "\ud800")
@example(13, "\ud800")
@given(st.integers(0, 36), st.characters())
def test_an_id_of_which_one_character_was_changed_is_not_genuine(place: int, character: str) -> None:
    ids = SessionIds("secret")
    pid = ids.issue()
    changed = pid[:place] + character + pid[place + 1 :]
    assert ids.is_genuine(changed) == (changed == pid)


@pytest.mark.parametrize("pid", ["", ".", "a", "a.", ".b", "a.b.c", "é.ü", "\x00", "a" * 100_000])
def test_an_id_that_was_never_issued_is_not_genuine(pid: str) -> None:
    assert not SessionIds("secret").is_genuine(pid)


@given(st.text(max_size=40))
def test_no_text_is_genuine_or_does_harm(pid: str) -> None:
    assert not SessionIds("secret").is_genuine(pid)


@pytest.mark.parametrize("interest", [EVERYTHING, SHIPPED, frozenset()])
def test_an_offset_holds_the_clients_position_and_its_interest(interest: frozenset[object]) -> None:
    text = f"{HERE}{offset_suffix(interest)}"  # type: ignore[arg-type]
    assert Offset.parse(text) == Offset(HERE, interest)  # type: ignore[arg-type]


def test_an_offset_of_a_client_without_filters_is_its_cursor() -> None:
    assert offset_suffix(EVERYTHING) == ""


@pytest.mark.parametrize(
    "text", ["", "~", "e1", f"{HERE}~x", f"{HERE}~~", f"x~{to_text(SHIPPED)}", f"{HERE}~{to_text(SHIPPED)}~"]
)
def test_a_malformed_offset_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Offset.parse(text)


def test_an_offset_that_is_longer_than_any_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with every attempt to connect, before anybody is admitted."""
    monkeypatch.setattr("services.gateway.recovery.from_text", lambda text: pytest.fail(f"read {len(text)} bytes"))
    with pytest.raises(InvalidCursor):
        Offset.parse(f"{HERE}~{'A' * 2200}")
    with pytest.raises(InvalidCursor):
        Offset.parse("1" * 60_000 + ".1-1")


def test_the_longest_offset_that_is_given_out_is_taken() -> None:
    interest = union([parse_filter({"ids": [f"{number:024x}" for number in range(56)]})], ALL_FIELDS)
    longest = Cursor("z" * 32, Position(2**64 - 1, 2**32 - 1))
    assert Offset.parse(f"{longest}{offset_suffix(interest)}") == Offset(longest, interest)
