"""The auditor finds every kind of bug: each is planted in records that are otherwise perfect."""

import random
from collections.abc import Callable

import pytest

from services.common.cursor import Cursor, Position
from tests.faults.checker import Breach, Case, judge
from tests.faults.ledger import Ledger, Outcome
from tests.faults.order import Content, Wanted
from tests.faults.record import Record, View
from tests.faults.shown import Shown
from tests.faults.truth import Change, due_of, filtered

EPOCH = "e0"
EVERYTHING = Wanted()
SHIPPED = Wanted(status="shipped")
OF_C1 = Wanted(rights=(Wanted(customer="c1"),))
OF_EITHER = Wanted(status="pending", rights=(Wanted(customer="c1"), Wanted(customer="c2", status="shipped")))
OF_NOBODY = Wanted(rights=())


def history(count: int = 200) -> tuple[list[Change], View, Ledger]:
    """Make up a history in which every tenth cluster time is that of a transaction."""
    rng = random.Random(7)
    orders: View = {}
    ledger = Ledger()
    changes = []
    position = Position(1000, 0)
    for _ in range(count):
        position = Position(position.ts, position.n + 1) if rng.random() < 0.1 else Position(position.ts + 1, 0)
        stamp = ledger.next_stamp()
        after = Content(f"c{rng.randrange(3)}", stamp, rng.choice(["pending", "shipped"]))
        draw = rng.random()
        if len(orders) < 5 or draw < 0.2:
            order = f"{stamp:024x}"
            changes.append(Change(position, "INSERT", order, None, after))
            orders[order] = after
        elif draw < 0.3:
            order = rng.choice(sorted(orders))
            changes.append(Change(position, "DELETE", order, orders.pop(order), None))
            ledger.deletions[order] = Outcome.DONE
            ledger.settle([stamp], Outcome.REFUSED)
            continue
        else:
            order = rng.choice(sorted(orders))
            changes.append(Change(position, "UPDATE", order, orders[order], after))
            orders[order] = after
        ledger.settle([stamp], Outcome.DONE)
    return changes, orders, ledger


def perfect(changes: list[Change], wanted: Wanted) -> Record:
    """Make the record of a client that was shown everything right."""
    record = Record("client", wanted)
    record.loaded(Cursor(EPOCH, Position(0, 0)), {})
    for change in changes:
        seen = due_of(change, wanted)
        if seen is not None:
            content = None if seen.left else change.before if seen.operation == "DELETE" else change.after
            record.now.shown.append(Shown(seen.position, seen.operation, seen.id, content, seen.left, EPOCH))
    return record


def breaches(
    plant: Callable[[Record, View], None],
    wanted: Wanted = EVERYTHING,
    allowed: frozenset[str] = frozenset(),
    required: frozenset[str] = frozenset(),
) -> set[Breach]:
    """Return what the checker finds after `plant` has done its damage."""
    changes, database, ledger = history()
    record = perfect(changes, wanted)
    plant(record, database)
    return {finding.breach for finding in judge(Case(changes, database, ledger, [record], allowed, required))}


def nothing(_record: Record, _database: View) -> None:
    """Plant no bug."""


def cut(record: Record, reason: str) -> None:
    """Make the client resync in the middle, as a correct product does: the new list is of a later moment."""
    changes, _, _ = history()
    shown = record.now.shown
    record.now.shown = shown[:60]
    record.resync(reason)
    start = shown[80].position
    view: View = {}
    for change in changes:
        if change.position <= start:
            view.pop(change.id, None)
            if change.after is not None:
                view[change.id] = change.after
    record.loaded(Cursor(EPOCH, start), filtered(view, record.wanted))
    record.now.shown = shown[70:]


@pytest.mark.parametrize(
    "wanted",
    [EVERYTHING, SHIPPED, Wanted(customer="c1"), OF_C1, OF_EITHER, OF_NOBODY, Wanted(rights=(EVERYTHING,))],
)
def test_finds_nothing_where_nothing_is_wrong(wanted: Wanted) -> None:
    assert breaches(nothing, wanted) == set()


def test_finds_a_change_that_was_lost() -> None:
    assert Breach.LOST in breaches(lambda record, _: record.now.shown.__delitem__(50))


def test_finds_that_the_last_change_was_lost() -> None:
    assert Breach.LOST in breaches(lambda record, _: record.now.shown.__delitem__(-1))


def test_finds_a_lost_departure_from_a_filter() -> None:
    def plant(record: Record, _: View) -> None:
        at = next(i for i, one in enumerate(record.now.shown) if one.left)
        del record.now.shown[at]

    assert Breach.LOST in breaches(plant, SHIPPED)


def test_finds_a_change_that_was_doubled() -> None:
    assert breaches(lambda record, _: record.now.shown.insert(51, record.now.shown[50])) == {Breach.DOUBLED}


def test_finds_a_doubled_change_long_after() -> None:
    found = breaches(lambda record, _: record.now.shown.append(record.now.shown[20]))
    assert {Breach.DOUBLED, Breach.REORDERED} <= found


def test_finds_two_changes_of_different_orders_in_the_wrong_order() -> None:
    def plant(record: Record, _: View) -> None:
        shown = record.now.shown
        at = next(i for i in range(50, 150) if shown[i].id != shown[i + 1].id)
        shown[at], shown[at + 1] = shown[at + 1], shown[at]

    found = breaches(plant)
    assert Breach.REORDERED in found
    assert Breach.REORDERED_ORDER not in found


def test_finds_two_changes_of_one_order_in_the_wrong_order() -> None:
    def plant(record: Record, _: View) -> None:
        shown = record.now.shown
        first = next(i for i in range(50, 150) if any(one.id == shown[i].id for one in shown[i + 1 :]))
        second = next(i for i in range(first + 1, 200) if shown[i].id == shown[first].id)
        shown[first], shown[second] = shown[second], shown[first]

    assert Breach.REORDERED_ORDER in breaches(plant)


def test_finds_a_change_that_was_never_committed() -> None:
    def plant(record: Record, _: View) -> None:
        ghost = record.now.shown[-1]._replace(position=Position(999_999, 0))
        record.now.shown.append(ghost)

    assert Breach.INVENTED in breaches(plant)


def test_finds_the_right_change_with_the_wrong_content() -> None:
    def plant(record: Record, _: View) -> None:
        shown = record.now.shown
        at = next(i for i, one in enumerate(shown) if one.operation == "UPDATE" and one.content is not None)
        shown[at] = shown[at]._replace(content=Content("c0", 1, "pending"))

    assert Breach.INVENTED in breaches(plant)


def test_finds_a_change_outside_the_filter() -> None:
    def plant(record: Record, _: View) -> None:
        changes = history()[0]
        hidden = next(change for change in changes if due_of(change, SHIPPED) is None and change.operation == "INSERT")
        at = next(i for i, one in enumerate(record.now.shown) if one.position > hidden.position)
        record.now.shown.insert(at, Shown(hidden.position, "INSERT", hidden.id, hidden.after, False, EPOCH))

    assert Breach.UNWANTED in breaches(plant, SHIPPED)


def forbidden(record: Record, operation: str) -> None:
    """Show a client a change of this kind of an order that is none of its own."""
    changes = history()[0]
    hidden = next(one for one in changes if due_of(one, record.wanted) is None and one.operation == operation)
    content = hidden.before if operation == "DELETE" else hidden.after
    shown = record.now.shown
    at = next((i for i, one in enumerate(shown) if one.position > hidden.position), len(shown))
    shown.insert(at, Shown(hidden.position, operation, hidden.id, content, False, EPOCH))


@pytest.mark.parametrize("operation", ["INSERT", "UPDATE", "DELETE"])
@pytest.mark.parametrize("wanted", [OF_C1, OF_NOBODY])
def test_finds_a_change_outside_the_rights(wanted: Wanted, operation: str) -> None:
    assert Breach.FORBIDDEN in breaches(lambda record, _: forbidden(record, operation), wanted)
    assert Breach.FORBIDDEN not in breaches(lambda record, _: forbidden(record, operation), SHIPPED)


def test_finds_a_change_outside_the_rights_that_the_client_ignores() -> None:
    """It came before the list, or of a list that never came."""

    def plant(record: Record, _: View) -> None:
        forbidden(record, "INSERT")
        record.now.start = None
        record.resync("history_lost")

    assert Breach.FORBIDDEN in breaches(plant, OF_C1)


def test_finds_that_an_order_is_told_with_what_it_has_become_outside_the_rights() -> None:
    def plant(record: Record, _: View) -> None:
        shown = record.now.shown
        at = next(i for i, one in enumerate(shown) if one.left)
        shown[at] = shown[at]._replace(content=Content("c2", 1, "pending"))

    assert Breach.FORBIDDEN in breaches(plant, OF_C1)


def test_finds_a_list_with_an_order_outside_the_rights() -> None:
    def plant(record: Record, _: View) -> None:
        record.now.snapshot = {"0" * 24: Content("c2", 1, "shipped")}

    assert Breach.FORBIDDEN in breaches(plant, OF_C1)


def test_finds_a_state_other_than_the_databases() -> None:
    assert breaches(lambda _, database: database.__delitem__(min(database))) == {Breach.STATE}


def test_finds_a_client_that_never_got_its_list() -> None:
    def plant(record: Record, _: View) -> None:
        record.resync("collection_dropped")

    assert Breach.STATE in breaches(plant, allowed=frozenset({"collection_dropped"}))


def test_takes_a_resync_that_the_scenario_explains() -> None:
    assert breaches(lambda record, _: cut(record, "history_lost"), allowed=frozenset({"history_lost"})) == set()


def test_finds_a_resync_that_nothing_explains() -> None:
    assert breaches(lambda record, _: cut(record, "history_lost")) == {Breach.RESYNC}


def test_finds_a_change_lost_before_a_resync() -> None:
    def plant(record: Record, _: View) -> None:
        cut(record, "history_lost")
        del record.segments[0].shown[30]

    assert breaches(plant, allowed=frozenset({"history_lost"})) == {Breach.LOST}


def test_finds_a_change_lost_after_a_resync() -> None:
    def plant(record: Record, _: View) -> None:
        cut(record, "history_lost")
        del record.now.shown[40]

    assert Breach.LOST in breaches(plant, allowed=frozenset({"history_lost"}))


def test_finds_a_client_that_got_no_resync_when_history_broke() -> None:
    assert breaches(nothing, required=frozenset({"collection_dropped"})) == {Breach.UNTOLD}


def test_finds_an_acknowledged_write_that_is_gone() -> None:
    changes, database, ledger = history()
    ledger.settle([ledger.next_stamp()], Outcome.DONE)
    found = judge(Case(changes, database, ledger, [perfect(changes, EVERYTHING)]))
    assert [finding.breach for finding in found] == [Breach.WRITE]


def test_finds_a_refused_write_that_was_done() -> None:
    changes, database, ledger = history()
    done = next(change.after.stamp for change in changes if change.after is not None)
    ledger.settle([done], Outcome.REFUSED)
    found = judge(Case(changes, database, ledger, [perfect(changes, EVERYTHING)]))
    assert [finding.breach for finding in found] == [Breach.WRITE]


def test_settles_a_write_of_unknown_outcome_by_the_history() -> None:
    changes, database, ledger = history()
    done = next(change.after.stamp for change in changes if change.after is not None)
    ledger.settle([done, ledger.next_stamp()], Outcome.UNKNOWN)
    assert judge(Case(changes, database, ledger, [perfect(changes, EVERYTHING)])) == []
