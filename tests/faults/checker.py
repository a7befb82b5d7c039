"""Judges a finished audit from its records alone: was the promise kept for every client?"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from services.common.cursor import Position
from tests.faults.ledger import Ledger, Outcome
from tests.faults.order import Wanted
from tests.faults.record import Record, Segment, View
from tests.faults.shown import Shown
from tests.faults.truth import Change, Due, due_of, filtered


class Breach(Enum):
    """A way to break the promise."""

    LOST = "lost"  # a change that the client wants was never shown to it
    DOUBLED = "doubled"  # shown twice
    REORDERED = "out of order"  # shown after a later one
    REORDERED_ORDER = "out of order for one order"
    INVENTED = "invented"  # shown although it was never committed, or committed with other content
    UNWANTED = "unwanted"  # committed, but outside the client's filter
    FORBIDDEN = "shown without a right"  # outside the rights of the client's token
    STATE = "other state"  # at the end the client's orders differ from the database's
    RESYNC = "unexplained resync"
    UNTOLD = "not told"  # the scenario breaks history, and the client got no resync
    WRITE = "write"  # acknowledged and gone, or refused and done
    SERVICE = "service"  # a process ended, did not recover, or failed where it may not
    SLOW = "slow"  # it recovered, but later than promised


class Finding(NamedTuple):
    """One breach."""

    breach: Breach
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Case:
    """The evidence of one audit."""

    truth: Sequence[Change]
    database: View
    ledger: Ledger
    records: Sequence[Record]
    allowed_resyncs: frozenset[str] = field(default_factory=frozenset)  # those that the scenario explains
    required_resyncs: frozenset[str] = field(default_factory=frozenset)  # each client must get at least one of them
    refetch: bool = False  # whether envelopes may come without their order, for the client to fetch


def judge(case: Case) -> list[Finding]:
    """Return every breach."""
    found = list(_writes(case))
    committed = {change.position: change for change in case.truth}
    due_by_filter: dict[Wanted, list[Due]] = {}
    for record in case.records:
        if record.wanted not in due_by_filter:
            due_by_filter[record.wanted] = [seen for change in case.truth if (seen := due_of(change, record.wanted))]
        found += _record(case, record, due_by_filter[record.wanted])
        if record.wanted.rights is not None:
            found += _forbidden(record, committed)
    return found


def _writes(case: Case) -> Iterator[Finding]:
    committed = {change.after.stamp for change in case.truth if change.after is not None}
    deleted = {change.id for change in case.truth if change.operation == "DELETE"}
    both = (
        [(f"stamp {stamp}", outcome, stamp in committed) for stamp, outcome in case.ledger.stamps.items()]
        + [(f"deletion of {order}", outcome, order in deleted) for order, outcome in case.ledger.deletions.items()]
    )  # fmt: skip
    for what, outcome, there in both:
        if outcome is Outcome.DONE and not there:
            yield Finding(Breach.WRITE, "writer", f"{what} was acknowledged and is not in the history")
        if outcome is Outcome.REFUSED and there:
            yield Finding(Breach.WRITE, "writer", f"{what} was refused and is in the history")


def _record(case: Case, record: Record, all_due: Sequence[Due]) -> Iterator[Finding]:
    for reason in record.resyncs:
        if reason not in case.allowed_resyncs:
            yield Finding(Breach.RESYNC, record.name, reason)
    if case.required_resyncs and not case.required_resyncs & set(record.resyncs):
        yield Finding(Breach.UNTOLD, record.name, f"none of {', '.join(sorted(case.required_resyncs))}")
    for complaint in record.complaints:
        yield Finding(Breach.SERVICE, record.name, complaint)
    for segment in record.segments:
        yield from _segment(case, record, segment, all_due)
    yield from _state(case, record)


def _segment(case: Case, record: Record, segment: Segment, all_due: Sequence[Due]) -> Iterator[Finding]:
    yield from _sequence(record, segment.shown)
    if segment.start is None:
        return  # the client never had a list to compare with
    start = segment.start.position
    shown = [one for one in segment.shown if one.position > start]
    first = bisect_right(all_due, start, key=_position)
    # After a resync nothing is due beyond the segment's last event: the client knows that it missed some.
    end = len(all_due) if segment.resync is None else _end(shown, all_due, first)
    due = all_due[first:end]
    if [_as_due(one) for one in shown] == due:
        return
    yield from _differences(case, record, {one.position: one for one in shown}, {one.position: one for one in due})


def _end(shown: Sequence[Shown], all_due: Sequence[Due], first: int) -> int:
    return bisect_right(all_due, max(one.position for one in shown), key=_position) if shown else first


def _differences(
    case: Case, record: Record, shown: dict[Position, Shown], due: dict[Position, Due]
) -> Iterator[Finding]:
    committed = {change.position: change for change in case.truth}
    for position, missing in due.items():
        if position not in shown:
            yield Finding(Breach.LOST, record.name, f"{position} {missing.operation} {missing.id}")
    for position, one in shown.items():
        wanted = due.get(position)
        if position not in committed:
            yield Finding(Breach.INVENTED, record.name, f"{one} was never committed")
        elif _is_bare(one) and case.refetch:
            continue  # an order without data is sent even if it may not match the filter; the client fetches it
        elif wanted is None:
            yield Finding(Breach.UNWANTED, record.name, f"{one}")
        elif _as_due(one) != wanted:
            yield Finding(Breach.INVENTED, record.name, f"{one}, committed was {wanted}")


def _sequence(record: Record, shown: Sequence[Shown]) -> Iterator[Finding]:
    """Find changes that were shown twice or out of order, whatever the segment began with."""
    times = Counter(one.position for one in shown)
    if len(times) < len(shown):
        for position, count in times.items():
            if count > 1:
                yield Finding(Breach.DOUBLED, record.name, f"{position} {count} times")
    last = Position(0, 0)
    last_of: dict[str, Position] = {}
    for one in shown:
        if one.position < last:
            yield Finding(Breach.REORDERED, record.name, f"{one.position} after {last}")
        before = last_of.get(one.id, one.position)
        if one.position < before:
            yield Finding(Breach.REORDERED_ORDER, record.name, f"{one.id}: {one.position} after {before}")
        last = max(last, one.position)
        last_of[one.id] = max(one.position, before)


def _forbidden(record: Record, committed: Mapping[Position, Change]) -> Iterator[Finding]:
    """Find whatever was shown, in a list or as an event, of an order that was none of the client's at that time.

    In all segments and from their first byte on: here nothing that the client ignores is excused.
    """
    wanted = record.wanted
    for segment in record.segments:
        for order, content in segment.snapshot.items():
            if not wanted.may_see(content):
                yield Finding(Breach.FORBIDDEN, record.name, f"{order} in its list: {content}")
        for one in segment.shown:
            change = committed.get(one.position)
            order_then = None
            if change is not None:
                is_gone = one.operation == "DELETE"
                order_then = change.before if is_gone else change.after
            if not wanted.may_see(order_then) or not (one.content is None or wanted.may_see(one.content)):
                yield Finding(Breach.FORBIDDEN, record.name, f"{one}, of an order that was {order_then}")


def _state(case: Case, record: Record) -> Iterator[Finding]:
    segment = record.now
    if segment.start is None:
        yield Finding(Breach.STATE, record.name, "the client never got its list")
        return
    fetched = filtered(case.database, record.wanted)
    view = dict(segment.snapshot)
    for one in segment.shown:
        if one.position <= segment.start.position:
            continue
        if one.operation == "DELETE":
            view.pop(one.id, None)
        elif one.content is not None:
            view[one.id] = one.content
        elif one.id in fetched:
            view[one.id] = fetched[one.id]
        else:
            view.pop(one.id, None)
    if view != fetched:
        wrong = sorted(order for order in {*view, *fetched} if view.get(order) != fetched.get(order))
        what = f"{len(wrong)} orders, first {wrong[0]}: shown {view.get(wrong[0])}, stored {fetched.get(wrong[0])}"
        yield Finding(Breach.STATE, record.name, what)


def _is_bare(one: Shown) -> bool:
    return one.content is None and not one.left


def _as_due(one: Shown) -> Due:
    stamp = None if one.content is None else one.content.stamp
    return Due(one.position, one.operation, one.id, stamp, one.left)


def _position(one: Due) -> Position:
    return one.position


def total(findings: Iterable[Finding], *breaches: Breach) -> int:
    """Count the findings of these kinds."""
    return sum(finding.breach in breaches for finding in findings)
