"""For any ids of a page, its mark fits into a header and is accepted back."""

import pytest

from services.common.ids import InvalidId
from services.gateway.page_mark import LONGEST, MAX_SKIPPED, InvalidMark, PageMark

TOO_LONG = "x" * (LONGEST + 1)


@pytest.mark.parametrize(
    "id", ["0123456789abcdef01234567", "text", "~i5", "~s~~1.x", "1.5", "a.1", "~s.", "x" * LONGEST]
)
def test_a_mark_is_the_id_of_the_last_order(id: str) -> None:
    mark = PageMark.following(["before", id], None)
    assert str(mark) == id
    assert PageMark.parse(id) == mark == PageMark(id)


def test_every_spelling_of_an_id_is_a_mark() -> None:
    assert PageMark.parse("ABCDEF" * 4) == PageMark("abcdef" * 4)
    assert PageMark.parse("~~3." + "ABCDEF" * 4) == PageMark("abcdef" * 4, 3)


@pytest.mark.parametrize("long", [TOO_LONG, "ü" * (LONGEST // 6 + 1), "%" * (LONGEST // 3 + 1)])
@pytest.mark.parametrize(
    ("others", "before", "mark"),
    [
        (["a"], None, PageMark("a", 1)),
        (["a", TOO_LONG], None, PageMark("a", 2)),
        ([], None, PageMark(None, 1)),
        ([TOO_LONG], PageMark("z", 3), PageMark("z", 5)),
        ([], PageMark(None, MAX_SKIPPED - 1), PageMark(None, MAX_SKIPPED)),
        ([], PageMark(None, MAX_SKIPPED), None),
    ],
)
def test_an_id_that_is_too_long_for_a_header_is_passed_by_counting(
    long: str, others: list[str], before: PageMark | None, mark: PageMark | None
) -> None:
    assert PageMark.following([*others, long], before) == mark
    assert mark is None or PageMark.parse(str(mark)) == mark


@pytest.mark.parametrize("text", ["", "~", "~x", "~i05", "~b" + "A" * 99_999, "\ud800", "~~3.~i05", "~~3.events"])
def test_a_text_without_an_id_is_no_mark(text: str) -> None:
    with pytest.raises(InvalidId):
        PageMark.parse(text)


@pytest.mark.parametrize("text", ["~~0.x", "~~10001.x", "~~00000."])
def test_a_number_that_no_list_gives_out_is_no_mark(text: str) -> None:
    with pytest.raises(InvalidMark):
        PageMark.parse(text)


@pytest.mark.parametrize("text", ["~~", "~~1", "~~.x", "~~-1.x", "~~999999.x", "~~\u0663.x"])
def test_a_number_is_written_in_one_way(text: str) -> None:
    with pytest.raises(InvalidId):
        PageMark.parse(text)
