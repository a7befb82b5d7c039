"""Each resync has an id that is in the log, however many there are, and is counted by its reason."""

from collections import Counter
from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import EventDict

from services.common.cursor import Cursor, Position
from services.common.normalize import EpochReason
from services.gateway.filters import EVERYTHING
from services.gateway.resyncs import BURST, CALM_SECONDS, SHARED_SECONDS, Resyncs
from services.gateway.subscription import Reason, ResyncReason
from tests.stream_events import EPOCH, Outlet
from tests.unit.test_hub import Stream

CURSOR = Cursor(EPOCH, Position(3, 0))


class Noted:
    """Resyncs by a clock of our own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.counted: Counter[Reason] = Counter()
        self.resyncs = Resyncs(lambda reason, clients: self.counted.update({reason: clients}), lambda: self.now)

    def one(self, client: str = "somebody") -> str:
        return self.resyncs.one(ResyncReason.HISTORY_LOST, client, "192.0.2.1", CURSOR)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def test_a_line_names_the_client_its_cursor_and_the_reason(logs: list[EventDict]) -> None:
    incident = Noted().one("Ann")
    assert logs == [
        {
            "event": "A client must resync",
            "log_level": "info",
            "incident": incident,
            "reason": "history_lost",
            "client": "Ann",
            "address": "192.0.2.1",
            "cursor": str(CURSOR),
            "unlogged_before": 0,
        }
    ]


def test_a_crowd_is_a_few_lines_and_every_id_is_in_one_of_them(logs: list[EventDict]) -> None:
    noted = Noted()
    incidents = []
    for number in range(10_000):
        noted.now = number / 1000  # ten seconds
        incidents.append(noted.one())
    assert noted.counted[ResyncReason.HISTORY_LOST] == 10_000
    assert len(logs) <= BURST + 10 / SHARED_SECONDS + 1
    assert set(incidents) == {entry["incident"] for entry in logs}
    noted.now += CALM_SECONDS
    assert noted.one() != noted.one()
    assert len(logs) + sum(entry["unlogged_before"] for entry in logs) == 10_002


def test_when_all_must_resync_they_are_told_one_id(logs: list[EventDict]) -> None:
    stream = Stream()
    outlets = [Outlet() for _ in range(50)]
    for outlet in outlets:
        stream.join(outlet)
    stream.ring.reset("e2", Position(50, 0))
    incident = stream.hub.begin_epoch(EpochReason.COLLECTION_DROPPED)
    assert {tuple(outlet.incidents) for outlet in outlets} == {(incident,)}
    assert logs == []  # the feed has a line for all of them, with the cause


def test_only_what_is_known_of_an_epoch_is_said() -> None:
    stream = Stream()
    here = stream.ring.position
    stream.hub.begin_epoch(EpochReason.FIRST_START)
    assert stream.hub.resume_points.locate(Cursor("other", here)).reason is ResyncReason.EPOCH_UNKNOWN
    for epoch, reason in (("e2", EpochReason.COLLECTION_DROPPED), ("e3", EpochReason.STATE_LOST)):
        stream.ring.reset(epoch, here)
        stream.hub.begin_epoch(reason)
    assert stream.hub.resume_points.locate(Cursor(EPOCH, here)).reason is EpochReason.COLLECTION_DROPPED
    assert stream.hub.resume_points.locate(Cursor("e2", here)).reason is EpochReason.STATE_LOST
    assert stream.hub.resume_points.locate(Cursor("other", here)).reason is ResyncReason.EPOCH_UNKNOWN


def test_a_scrape_walks_no_subscriptions() -> None:
    class Untouchable(set):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[object]:
            raise AssertionError("all clients are walked")

    stream = Stream()
    stream.hub._subscriptions = Untouchable()
    paused = stream.hub.subscribe(Outlet(), EVERYTHING, Position(0, 0))
    stream.join(Outlet())
    stream.publish(1, 1)
    census = {(form.value, mode.value): count for (form, mode), count in stream.hub.census().items() if count}
    assert census == {("sse_plain", "paused"): 1, ("sse_plain", "live"): 1}
    stream.hub.unsubscribe(paused)
    stream.hub.unsubscribe(paused)
    assert sum(stream.hub.census().values()) == 1
