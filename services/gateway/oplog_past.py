"""Reads the past changes of one order from the oplog, with the positions that they have among all others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from services.common.cursor import Position, cluster_time
from services.common.fair_turns import FairTurns, Pace
from services.common.ids import parse_id
from services.common.normalize import Change
from services.common.numbering import Numbering
from services.common.order_json import order_json
from services.common.visible_fields import VisibleFields
from services.gateway.event import Event
from services.gateway.history import History, HistoryLost, history_errors
from services.gateway.past_changes import PastChange, past_change
from services.mongodb.order_changes import OrderChanges
from services.mongodb.raw_events import decoded


class PastStretch(NamedTuple):
    """Changes of an order, newest first: all after ``since``. ``is_end``: MongoDB has nothing older."""

    changes: list[PastChange]
    since: Position
    is_end: bool


class OplogPast:
    """The past of single orders as MongoDB keeps it. The positions are the same as in the log."""

    def __init__(
        self,
        oplog: OrderChanges,
        history: History,
        turns: FairTurns,
        epoch: Callable[[], str | None],
        visible: VisibleFields,
    ) -> None:
        self._oplog = oplog
        self._history = history
        self._turns = turns
        self._epoch = epoch
        self._visible = visible

    async def between(self, id: str, since: int, until: int | None, most: int, account: str) -> PastStretch:
        """Return the last ``most`` changes between two cluster times; raise HistoryUnavailable or HistoryLost."""
        with history_errors():
            stretch = await self._oplog.between(parse_id(id), since, until, most)
        changes = await self._numbered(id, stretch.events, account)
        return PastStretch(changes, Position.end_of(stretch.since), stretch.is_end)

    async def _numbered(self, id: str, events: Sequence[Any], account: str) -> list[PastChange]:
        """Return the events as changes, newest first, with the positions that they have among all others."""
        epoch = self._epoch() or ""
        with history_errors():
            is_merged = await self._oplog.is_merged()
        numbers: dict[int, list[Position]] = {}
        found: list[PastChange] = []
        pace = Pace(self._turns, account)
        await pace.begin()
        for event in reversed(events):
            ts = cluster_time(event["clusterTime"])
            # A change outside a transaction has its cluster time to itself; one within it is numbered among the others.
            if (is_merged or "txnNumber" in event) and ts not in numbers:
                numbers[ts] = await self._positions_at(id, ts, epoch, account)
            positions = numbers.get(ts, [Position(ts, 0)])
            if positions:
                with history_errors():
                    found.append(_change(decoded(event), epoch, positions.pop(), self._visible))
            await pace.step()
        return found

    async def _positions_at(self, id: str, ts: int, epoch: str, account: str) -> list[Position]:
        """Return the positions of the order's changes of one cluster time."""
        found: list[Position] = []
        async for page in self._history.after(Position.before(ts), epoch, account):
            found += [event.position for event in page.events if event.id == id and event.position.ts == ts]
            if page.upto.ts > ts or page.upto >= Position.end_of(ts):
                break
        return found


def _change(event: Mapping[str, Any], epoch: str, position: Position, visible: VisibleFields) -> PastChange:
    """Return a change as it comes from the oplog, with the stored state before it."""
    item = Numbering(epoch, position.below, visible).of(event)
    if not isinstance(item, Change):
        raise HistoryLost("the collection's history breaks here")
    before = event.get("fullDocumentBeforeChange")
    order = None if before is None else order_json(before, visible)
    return past_change(Event(item.envelope, item.images), order)
