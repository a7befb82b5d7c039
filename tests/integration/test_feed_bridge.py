"""A gateway that has missed more than Redis holds reads it from the oplog, and in any case follows again."""

import pytest

from services.common.cursor import Cursor, Position
from services.common.normalize import EpochReason
from tests.integration.fed_gateway import Gateway, Writing
from tests.integration.past import Past
from tests.log_entries import publish
from tests.stream_events import Outlet, change
from tests.waiting import until


async def missed(past: Past) -> Writing:
    """Begin a log before the changes: in step with it, a gateway then misses all of them once Redis forgets."""
    await past.write(1)
    writing = past.world.writing()
    await writing.publisher.restart_log("e1", EpochReason.FIRST_START, Position.end_of(past.positions[0]), "")
    return writing


async def forget(past: Past) -> Position:
    await past.write(300)
    await past.forget()
    return Position.end_of(past.positions[-1])


async def follows(gateway: Gateway, writing: Writing, outlet: Outlet, after: Position) -> None:
    """Publish one more change, which arrives."""
    await until(lambda: gateway.ring.position >= after, "the gateway is in step again")
    next_one = Position(after.ts + 1, 0)
    await publish(writing.publisher, "e1", after, [change(next_one)])
    await until(lambda: outlet.positions[-1:] == [next_one.ts], "the next change arrives")


@pytest.mark.parametrize("commands", [[], ["aggregate"], ["getMore"]])
async def test_changes_that_redis_has_trimmed_are_shown_though_mongodb_fails_for_a_while(
    past: Past, commands: list[str]
) -> None:
    writing = await missed(past)
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        await gateway.join(outlet)
        async with past.failing(commands or ["ping"], times=2, errorCode=11600):
            floor = await forget(past)
            await follows(gateway, writing, outlet, floor)
    assert outlet.positions[:-1] == past.positions[1:]
    assert outlet.resyncs == []


async def test_changes_that_redis_trims_while_the_gateway_reads_the_oplog_are_shown_too(past: Past) -> None:
    writing = await missed(past)
    async with past.world.gateway(stale_seconds=0.1) as gateway:
        outlet = Outlet()
        await gateway.join(outlet)
        async with past.failing(["aggregate"], errorCode=11600):
            await forget(past)
            await until(lambda: "gateway_behind" in outlet.statuses, "it reads the oplog")
            floor = await forget(past)
        await follows(gateway, writing, outlet, floor)
    assert outlet.positions[:-1] == past.positions[1:]
    assert outlet.resyncs == []


async def test_clients_are_told_that_they_may_see_old_orders_and_at_last_why_they_must_resync(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.feed.BRIDGE_SECONDS", 4)
    writing = await missed(past)
    async with past.world.gateway(stale_seconds=1) as gateway:
        outlet = Outlet()
        await gateway.join(outlet)
        async with past.failing(["aggregate"], errorCode=13):
            floor = await forget(past)
            await until(lambda: outlet.statuses == ["gateway_behind"], "clients are told")
            await until(lambda: outlet.resyncs, "it gives up")
        await follows(gateway, writing, outlet, floor)
    assert outlet.resyncs == [("history_unavailable", str(Cursor("e1", floor)))]
    assert outlet.statuses == ["gateway_behind", None]
    assert len(outlet.positions) == 1


async def test_a_question_that_is_never_answered_does_not_hold_the_gateway_up_for_ever(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.feed.BRIDGE_SECONDS", 2)
    writing = await missed(past)
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        await gateway.join(outlet)
        # MongoDB takes the failure back only when nothing is blocked any more.
        async with past.failing(["getMore"], blockConnection=True, blockTimeMS=6_000):
            floor = await forget(past)
            await follows(gateway, writing, outlet, floor)
    assert [reason for reason, _ in outlet.resyncs] == ["replay_too_long"]


async def test_an_error_that_stays_is_not_waited_for(past: Past) -> None:
    writing = await missed(past)
    async with past.world.gateway() as gateway:
        outlet = Outlet()
        await gateway.join(outlet)
        async with past.failing(["aggregate"], errorCode=280, errorLabels=["NonResumableChangeStreamError"]):
            floor = await forget(past)
            await follows(gateway, writing, outlet, floor)
    assert [reason for reason, _ in outlet.resyncs] == ["history_lost"]
