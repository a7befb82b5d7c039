"""An error of one client costs that client its connection: the hub forgets it, and no other client notices."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.common.cursor import Cursor, Position
from services.common.normalize import EpochReason
from services.gateway.audience import Audience
from services.gateway.event import Event
from services.gateway.filters import EVERYTHING, Filter, Interest
from services.gateway.subscription import Mode
from services.gateway.wire.form import Form
from tests.stream_events import Outlet, change, event
from tests.unit.test_hub import Stream

SHIPPED: Interest = frozenset({Filter(status=("shipped",))})


@dataclass(eq=False)
class Broken(Outlet):
    """A client's end at which everything named in ``breaks`` raises."""

    breaks: set[str] = field(default_factory=set)

    def _perhaps(self, what: str) -> None:
        if what in self.breaks:
            raise RuntimeError(what)

    def write(self, data: bytes | memoryview) -> None:
        self._perhaps("write")
        super().write(data)

    def resync(self, reason: str, cursor: Cursor, incident: str = "") -> None:
        self._perhaps("resync")
        super().resync(reason, cursor, incident)

    def status(self, stale: str | None, cursor: Cursor) -> None:
        self._perhaps("status")
        super().status(stale, cursor)

    def abort(self) -> None:
        super().abort()
        self._perhaps("abort")

    @property
    def descriptor(self) -> None:  # type: ignore[override]
        self._perhaps("descriptor")


@dataclass
class Crowd:
    """A client that is going to fail, among others."""

    stream: Stream
    broken: Broken
    others: list[Outlet]


@pytest.fixture(params=[Form.POLLING, Form.SSE_PLAIN])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    stream = Stream()
    others = [Outlet(form=Form.POLLING), Outlet(), Outlet(form=Form.POLLING), Outlet()]
    for each in others[:2]:
        stream.join(each)
    broken = Broken(form=request.param)
    stream.join(broken)
    for each in others[2:]:
        stream.join(each)
    return Crowd(stream, broken, others)


@pytest.mark.parametrize("also", [set(), {"abort"}])
def test_a_write_that_fails_costs_the_others_nothing(crowd: Crowd, also: set[str]) -> None:
    crowd.stream.publish(1, 2)
    crowd.broken.breaks = {"write", *also}
    crowd.stream.publish(3, 3)
    crowd.stream.publish(4, 5)
    assert [each.positions for each in crowd.others] == [[1, 2, 3, 4, 5]] * 4
    assert crowd.broken.aborted == 1
    assert crowd.stream.errors == ["write", *also]
    assert len(crowd.stream.hub) == 4


@pytest.mark.parametrize("what", ["resync", "write", "descriptor"])
def test_an_epoch_that_begins_is_announced_to_all_others(crowd: Crowd, what: str) -> None:
    crowd.broken.breaks = {what}
    crowd.stream.ring.reset("e2", Position(50, 0))
    crowd.stream.hub.begin_epoch(EpochReason.COLLECTION_DROPPED)
    crowd.stream.hub.publish(crowd.stream.ring.append([event(51, epoch="e2")]))
    assert [each.resyncs for each in crowd.others] == [[("collection_dropped", "e2.50-0")]] * 4
    assert [each.positions for each in crowd.others] == [[51]] * 4
    assert (crowd.broken.aborted, crowd.stream.errors, len(crowd.stream.hub)) == (1, [what], 4)


def test_a_stale_stream_is_announced_to_all_others(crowd: Crowd) -> None:
    crowd.broken.breaks = {"status"}
    crowd.stream.hub.notify_stale("watcher_silent")
    crowd.stream.hub.notify_stale(None)
    assert [each.statuses for each in crowd.others] == [["watcher_silent", None]] * 4
    assert (crowd.broken.aborted, crowd.stream.errors, len(crowd.stream.hub)) == (1, ["status"], 4)


@pytest.mark.parametrize("what", ["write", "descriptor", "status"])
def test_a_client_that_fails_when_it_joins_leaves_nothing_behind(what: str) -> None:
    stream = Stream()
    stream.publish(1, 3)
    stream.hub.stale = "watcher_silent"
    broken = Broken(breaks={what})
    stream.join(broken)
    assert (broken.aborted, stream.errors, stream.holds_nobody()) == (1, [what], True)


def test_a_client_that_fails_in_a_later_turn_does_not_take_the_turn_of_the_others() -> None:
    stream = Stream(size=1000)
    stream.publish(1, 450)
    broken, other = Broken(), Outlet()
    stream.join(broken)
    stream.join(other)
    broken.breaks = {"write"}
    stream.settle()
    assert (other.positions, broken.aborted, len(stream.hub)) == (list(range(1, 451)), 1, 1)


def test_a_client_that_fails_once_the_stream_has_come_to_it_does_not_keep_the_others_waiting() -> None:
    stream = Stream()
    broken, other = Broken(breaks={"write"}), Outlet()
    stream.join(broken, position=3)
    stream.join(other, position=3)
    stream.publish(1, 5)
    stream.settle()
    assert (other.positions, broken.aborted, len(stream.hub)) == ([4, 5], 1, 1)


def test_a_client_that_fails_when_it_is_served_from_elsewhere_is_forgotten() -> None:
    stream = Stream(size=4)
    stream.publish(1, 20)
    broken = Broken(breaks={"write"})
    subscription = stream.join(broken)
    stream.hub.write_events(subscription, [event(1), event(2)])
    assert (broken.aborted, subscription.is_behind(), stream.holds_nobody()) == (1, False, True)


def test_a_change_that_cannot_be_judged_costs_only_those_with_a_filter_their_connection() -> None:
    """Their filter needs a field that cannot be read; the envelope itself can be sent as it is."""
    stream = Stream()
    everything, filtered, form = Outlet(), Broken(breaks={"abort"}), Outlet(form=Form.POLLING)
    stream.join(everything)
    stream.join(filtered, interest=SHIPPED)
    stream.join(form, interest=frozenset({Filter(ids=("a",))}))
    stream.hub.publish(stream.ring.append([Event(change(1).envelope, b"[1]")]))
    stream.publish(2, 2)
    assert everything.positions == [1, 2]
    assert (filtered.aborted, form.aborted, everything.aborted) == (1, 1, 0)
    assert len(stream.hub) == 1


def test_one_group_that_cannot_be_encoded_leaves_the_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Event.encoded

    def fails(self: Event, form: Form, suffix: str = "", view: str = "") -> bytes:
        if form is Form.POLLING:
            raise RuntimeError("polling")
        return encode(self, form, suffix, view)

    stream = Stream()
    outlets = [Outlet(form=Form.POLLING), Outlet(), Outlet(form=Form.POLLING), Outlet()]
    for each in outlets:
        stream.join(each)
    with monkeypatch.context() as patched:
        patched.setattr(Event, "encoded", fails)
        stream.publish(1, 2)
    stream.publish(3, 3)
    assert [each.positions for each in outlets] == [[], [1, 2, 3], [], [1, 2, 3]]
    assert [each.aborted for each in outlets] == [1, 0, 1, 0]


def _pause(stream: Stream, outlet: Outlet, subscription: Any) -> None:
    stream.hub.pause(subscription)


def _change_interest(stream: Stream, outlet: Outlet, subscription: Any) -> None:
    stream.hub.change_interest(subscription, SHIPPED)


def _begin_epoch(stream: Stream, outlet: Outlet, subscription: Any) -> None:
    stream.ring.reset("e2", Position(50, 0))
    stream.hub.begin_epoch(EpochReason.COLLECTION_DROPPED)


def _leave(stream: Stream, outlet: Outlet, subscription: Any) -> None:
    stream.hub.unsubscribe(subscription)


@pytest.mark.parametrize("act", [_pause, _change_interest, _begin_epoch, _leave])
@pytest.mark.parametrize("changed", ["form", "interest"])
def test_a_client_is_found_where_it_was_put_whatever_has_changed_meanwhile(
    act: Callable[[Stream, Outlet, Any], None], changed: str
) -> None:
    stream = Stream()
    outlet, other = Outlet(), Outlet()
    subscription = stream.join(outlet)
    stream.join(other)
    if changed == "form":
        outlet.form = Form.POLLING
    else:
        subscription.interest = SHIPPED
    act(stream, outlet, subscription)
    assert (outlet.aborted, stream.errors) == (0, [])
    stream.hub.unsubscribe(subscription)
    stream.settle()
    assert len(stream.hub) == 1
    assert [group.key for group in stream.hub._groups] == [(Audience(EVERYTHING), Form.SSE_PLAIN)]
    assert subscription.mode is Mode.PAUSED
