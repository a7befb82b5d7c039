"""Orders are read in turns of the event loop, and many bytes of them in one thread."""

from datetime import UTC, datetime

import bson
import pytest
from bson import ObjectId

from services.common.fair_turns import FairTurns, Pace
from services.common.visible_fields import ALL_FIELDS
from services.gateway.decoded_order import read_all

IDS = [ObjectId() for _ in range(100)]


def stored(days: int) -> list[bytes]:
    """Return orders of this many dates, which are long to decode."""
    dates = [datetime(2026, 1, 1, tzinfo=UTC)] * days
    return [bson.encode({"_id": each, "status": "new", "days": dates}) for each in IDS]


async def test_orders_that_are_large_together_need_no_turns_of_which_each_is_followed_by_a_pause() -> None:
    turns = FairTurns()
    assert len(await read_all(stored(2_000), Pace(turns, "one"), ALL_FIELDS)) == len(IDS)
    assert turns.passes == 0


@pytest.mark.parametrize("days", [20, 2_000])
async def test_all_of_each_order_is_read(days: int) -> None:
    found = await read_all(stored(days), Pace(FairTurns(), "one"), ALL_FIELDS)
    assert [each.id for each in found] == [str(each) for each in IDS]
    for each in found:
        assert each.fields["status"] == "new"
        assert each.order["days"] == ["2026-01-01T00:00:00.000Z"] * days
