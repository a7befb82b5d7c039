"""The reach of the oplog is queried rarely: each answer holds for all older positions, or for all younger ones."""

from services.common.cursor import Position
from services.gateway.oplog_reach import HELD_SECONDS, LOST_SECONDS, OplogReach


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def at(ts: int) -> Position:
    return Position(ts, 0)


def test_nothing_is_known_at_first() -> None:
    assert OplogReach(Clock()).of(at(5)) is None


def test_a_held_position_counts_for_all_younger_ones_for_a_while() -> None:
    clock = Clock()
    reach = OplogReach(clock)
    reach.note(at(5), reached=True)
    assert [reach.of(at(ts)) for ts in (4, 5, 6)] == [None, True, True]
    clock.now = HELD_SECONDS
    assert reach.of(at(6)) is None


def test_a_lost_position_counts_for_all_older_ones_for_a_while() -> None:
    clock = Clock()
    reach = OplogReach(clock)
    reach.note(at(5), reached=False)
    assert [reach.of(at(ts)) for ts in (4, 5, 6)] == [False, False, None]
    clock.now = LOST_SECONDS
    assert reach.of(at(4)) is None


def test_of_several_answers_the_one_that_says_most_is_kept() -> None:
    reach = OplogReach(Clock())
    for ts, reached in ((9, True), (7, True), (8, True), (2, False), (4, False), (3, False)):
        reach.note(at(ts), reached=reached)
    assert [reach.of(at(ts)) for ts in (4, 5, 6, 7)] == [False, None, None, True]


def test_a_newer_answer_takes_back_an_older_one_that_it_contradicts() -> None:
    """The oplog has moved on; or another member, which has a longer one, is the primary now."""
    reach = OplogReach(Clock())
    reach.note(at(5), reached=True)
    reach.note(at(7), reached=False)
    assert [reach.of(at(ts)) for ts in (7, 8)] == [False, None]
    reach.note(at(6), reached=True)
    assert [reach.of(at(ts)) for ts in (5, 6, 7)] == [None, True, True]


def test_questions_keep_a_distance() -> None:
    clock = Clock()
    reach = OplogReach(clock)
    assert reach.pause_before_asking(0.2) == 0
    reach.note(at(5), reached=True)
    assert reach.pause_before_asking(0.2) == 0.2
    clock.now = 1
    assert reach.pause_before_asking(0.2) == 0
