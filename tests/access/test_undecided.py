"""Changes of which nobody can tell whose order it was: not shown to restricted subjects, who are told to reload."""

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from services.common.cursor import Position
from services.common.documents import Json
from services.common.envelope import Operation
from services.gateway.audience import Audience, Rights
from services.gateway.event import Event
from services.gateway.filters import EVERYTHING, NOTHING, Filter, Interest, Verdict, verdict
from services.gateway.interest_index import InterestIndex
from services.gateway.subscription import Mode
from services.gateway.wire.form import Form
from tests.access.conftest import Guarded
from tests.access.tokens import bearer, token
from tests.access.viewers import TRANSPORTS, here, sse, viewer
from tests.log_entries import KEYS
from tests.stream_events import Outlet, event
from tests.unit.test_hub import Stream

OF_ADA: Rights = frozenset({Filter(customer_name=("Ada",))})
ADA: dict[str, Json] = {"customer_name": "Ada", "status": "pending"}
EVE: dict[str, Json] = {"customer_name": "Eve", "status": "pending"}

# operation, the fields after and before (None: unknown) → how it is shown to a subject with Ada's orders
CASES: list[tuple[Operation, Any, Any, Verdict]] = [
    (Operation.INSERT, ADA, None, Verdict.SHOW),
    (Operation.INSERT, EVE, None, Verdict.HIDE),
    (Operation.INSERT, None, None, Verdict.UNKNOWN),
    (Operation.UPDATE, ADA, ADA, Verdict.SHOW),
    (Operation.UPDATE, ADA, EVE, Verdict.SHOW),
    (Operation.UPDATE, ADA, None, Verdict.SHOW),
    (Operation.UPDATE, EVE, ADA, Verdict.LEFT),
    (Operation.UPDATE, EVE, EVE, Verdict.HIDE),
    (Operation.UPDATE, EVE, None, Verdict.UNKNOWN),
    (Operation.UPDATE, None, ADA, Verdict.UNKNOWN),
    (Operation.UPDATE, None, EVE, Verdict.UNKNOWN),
    (Operation.UPDATE, None, None, Verdict.UNKNOWN),
    (Operation.DELETE, ADA, None, Verdict.SHOW),
    (Operation.DELETE, EVE, None, Verdict.HIDE),
    (Operation.DELETE, None, None, Verdict.UNKNOWN),
    (Operation.INSERT, {}, None, Verdict.HIDE),
    (Operation.UPDATE, {"customer_name": ["Ada"]}, {}, Verdict.HIDE),
]


def judged(interest: Interest, rights: Rights, change: Event) -> Verdict:
    """Judge as a group does."""
    audience = Audience(interest, rights)
    return verdict(audience.shown, change, audience.unknown)


@pytest.mark.parametrize(("operation", "after", "before", "expected"), CASES)
def test_rights_fail_closed_where_images_are_missing(
    operation: Operation, after: Any, before: Any, expected: Verdict
) -> None:
    change = event(1, operation, data=after, before=before)
    assert judged(EVERYTHING, OF_ADA, change) is expected
    assert judged(NOTHING, OF_ADA, change) is Verdict.HIDE
    assert judged(EVERYTHING, NOTHING, change) is Verdict.HIDE
    assert judged(EVERYTHING, EVERYTHING, change) is Verdict.SHOW
    # What is not wanted in any case need not be reloaded for.
    other: Interest = frozenset({Filter(ids=("another",))})
    assert judged(other, OF_ADA, change) is Verdict.HIDE
    # Rights by id need no images.
    assert judged(EVERYTHING, frozenset({Filter(ids=("a",))}), change) is Verdict.SHOW
    assert judged(EVERYTHING, frozenset({Filter(ids=("b",))}), change) is Verdict.HIDE


@pytest.mark.parametrize("form", [Form.SSE_PLAIN, Form.POLLING])
@pytest.mark.parametrize("way", ["live", "ring", "log"])
def test_a_client_reloads_instead_and_others_do_not_notice(form: Form, way: str) -> None:
    stream = Stream()
    outlets = {
        "Ada": Outlet(form=form),
        "Eve": Outlet(form=form),
        "all": Outlet(form=form),
        "nothing": Outlet(form=form),
    }
    rights: dict[str, Rights] = {
        "Ada": OF_ADA,
        "Eve": frozenset({Filter(customer_name=("Eve",))}),
        "all": EVERYTHING,
        "nothing": NOTHING,
    }
    changes = [
        event(1, data=ADA, id="a"),
        event(2, Operation.DELETE, id="a"),
        event(3, data=ADA, id="b"),
        event(4, data=EVE, id="c"),
    ]
    subscriptions = {
        who: stream.hub.subscribe(outlet, EVERYTHING, Position(0, 0), "", rights[who])
        for who, outlet in outlets.items()
    }
    if way == "live":
        for each in subscriptions.values():
            stream.hub.resume(each)
    for change in changes if way == "live" else []:
        stream.hub.publish(stream.ring.append([change]))
    if way == "ring":
        stream.ring.append(changes)
        for each in subscriptions.values():
            stream.hub.resume(each)
    if way == "log":
        for each in subscriptions.values():
            stream.hub.resume(each)
            stream.hub._detach(each, Mode.BEHIND)
        stream.ring.append(changes)
        for each in subscriptions.values():
            stream.hub.write_events(each, changes)
            stream.hub.serve_from_ring(each)
    stream.settle()
    shown = {who: [(one["operation"], one["id"]) for one in outlet.seen] for who, outlet in outlets.items()}
    everything = [("INSERT", "a"), ("DELETE", "a"), ("INSERT", "b"), ("INSERT", "c")]
    # Who catches up reloads to the end of the ring, which has the later changes already.
    assert shown == {
        "Ada": [("INSERT", "a"), ("INSERT", "b")] if way == "live" else [],
        "Eve": [("INSERT", "c")] if way == "live" else [],
        "all": everything,
        "nothing": [],
    }
    resynced = {who: [reason for reason, _ in outlet.resyncs] for who, outlet in outlets.items()}
    assert resynced == {"Ada": ["rights_undecided"], "Eve": ["rights_undecided"], "all": [], "nothing": []}
    assert all(each.mode is Mode.LIVE for each in subscriptions.values())
    stream.hub.publish(stream.ring.append([event(5, data=ADA, id="z")]))
    assert [outlets[who].seen[-1]["id"] for who in ("Ada", "all")] == ["z", "z"]
    assert stream.errors == []


def test_new_rights_apply_to_a_client_in_any_mode() -> None:
    for mode in ("live", "paused", "behind"):
        stream, outlet = Stream(), Outlet()
        subscription = stream.hub.subscribe(outlet, EVERYTHING, Position(0, 0), "", EVERYTHING)
        if mode != "paused":
            stream.hub.resume(subscription)
        if mode == "behind":
            stream.hub._detach(subscription, Mode.BEHIND)
        stream.ring.append([event(1, data=EVE, id="before")])
        stream.hub.change_rights(subscription, EVERYTHING)
        assert outlet.resyncs == [], "the same rights change nothing"
        stream.hub.change_rights(subscription, OF_ADA)
        assert [reason for reason, _ in outlet.resyncs] == ["rights_changed"]
        stream.hub.resume(subscription)
        stream.hub.publish(stream.ring.append([event(2, data=EVE, id="e"), event(3, data=ADA, id="a")]))
        stream.settle()
        assert [one["id"] for one in outlet.seen] == ["a"], mode
        assert stream.hub.groups == 1
        stream.hub.unsubscribe(subscription)
        assert stream.holds_nobody()


def test_the_index_finds_every_audience_that_a_change_concerns_and_few_others() -> None:
    chance = random.Random(7)
    audiences = [
        Audience(chance.choice([EVERYTHING, NOTHING, _random(chance)]), chance.choice([EVERYTHING, _random(chance)]))
        for _ in range(300)
    ]
    index: InterestIndex[int] = InterestIndex()
    for number, audience in enumerate(audiences):
        index.add(number, audience.shown)
    for _ in range(500):
        change = event(
            1,
            chance.choice(list(Operation)),
            id=chance.choice("ab"),
            data=chance.choice([None, *_rows(chance)]),
            before=chance.choice([None, *_rows(chance)]),
        )
        concerned = {n for n, each in enumerate(audiences) if judged(*each, change) is not Verdict.HIDE}
        assert concerned <= set(index.candidates(change))


def test_a_change_asks_the_audiences_of_its_customer_only() -> None:
    index: InterestIndex[int] = InterestIndex()
    for number in range(10_000):
        index.add(number, Audience(EVERYTHING, frozenset({Filter(customer_name=(f"customer {number}",))})).shown)
    change = event(1, data={"customer_name": "customer 77", "status": "pending"})
    assert set(index.candidates(change)) == {77}


def _random(chance: random.Random) -> Interest:
    def some(values: str) -> tuple[str, ...] | None:
        return chance.choice([None, tuple(chance.sample(values, chance.randint(1, 2)))])

    return frozenset(Filter(some("ab"), some("xyz"), some("uvw")) for _ in range(chance.randint(1, 2)))


def _rows(chance: random.Random) -> Sequence[dict[str, Json]]:
    return [{"status": chance.choice("xyz"), "customer_name": chance.choice("uvw")} for _ in range(3)]


def test_audiences_judge_like_interest_and_rights_together() -> None:
    chance = random.Random(11)
    for _ in range(3000):
        interest, rights = _random(chance), _random(chance)
        (after, *_), (before, *_) = _rows(chance), _rows(chance)
        change: Event = event(1, Operation.UPDATE, id=chance.choice("ab"), data=after, before=before)

        def visible(
            fields: dict[str, Json], id: str = change.id, both: tuple[Interest, ...] = (interest, rights)
        ) -> bool:
            return all(any(each.holds(id, fields) for each in one) for one in both)

        expected = Verdict.SHOW if visible(after) else Verdict.LEFT if visible(before) else Verdict.HIDE
        assert judged(interest, rights, change) is expected


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_changes_of_a_collection_without_images_make_restricted_subjects_reload(
    guarded: Guarded, transport: str
) -> None:
    await guarded.orders.insert_many([{"_id": "a", **ADA}, {"_id": "e", **EVE}])
    await guarded.watcher()
    gateway = await guarded.gateway()
    async with (
        viewer(gateway.url, transport, token("ada", rights={"customer_name": "Ada"})) as ada,
        viewer(gateway.url, transport, token("all", rights="*")) as everyone,
    ):
        name = guarded.orders.name
        off = {"changeStreamPreAndPostImages": {"enabled": False}}
        await guarded.orders.database.command({"collMod": name, **off})
        await guarded.orders.delete_one({"_id": "e"})
        assert (await ada.has("resync"))["reason"] == "rights_undecided"
        await guarded.orders.insert_one({"_id": "b", **ADA})
        await ada.has("orderUpdate")
        await everyone.has("orderUpdate", 2)
    assert [one["id"] for one in everyone.updates] == ["e", "b"]
    assert [one["id"] for one in ada.updates] == ["b"], "not even the id of another one's order"
    assert "resync" not in everyone.names


@pytest.mark.parametrize("source", ["live", "resumed"])
async def test_changes_that_are_too_large_for_mongodb_to_deliver_are_judged_all_the_same(
    guarded: Guarded, source: str
) -> None:
    """An event with two images of 9 MB comes without them, but with the fields that decide."""
    await guarded.watcher()
    gateway = await guarded.gateway()
    rights = {"ada": {"customer_name": "Ada"}, "eve": {"customer_name": "Eve"}, "all": "*"}
    since: dict[str, str] = {}
    if source == "resumed":
        since = {who: await here(gateway.url, token(who, rights=one)) for who, one in rights.items()}
        await write_large(guarded)
        async with Redis.from_url(guarded.redis_url) as redis:
            until_logged = sse(gateway.url, {"since": since["all"]}, bearer(token(rights="*")))
            async with until_logged as before:
                await before.has("orderUpdate", 6)
            await redis.delete(KEYS.log, KEYS.head)
        gateway = await guarded.gateway(RING_EVENTS="10")
    async with AsyncExitStack() as stack:
        shown = {
            who: await stack.enter_async_context(
                viewer(gateway.url, "sse", token(who, rights=one), since=since.get(who))
            )
            for who, one in rights.items()
        }
        if source == "live":
            await write_large(guarded)
        await shown["all"].has("orderUpdate", 6)
        await shown["eve"].has("orderUpdate", 3)
        await shown["ada"].has("orderUpdate", 4)
    told = {who: [as_told(one) for one in each.updates] for who, each in shown.items()}
    assert told == {
        "ada": ["INSERT large", "UPDATE large", "LEFT large", "INSERT last"],
        "eve": ["UPDATE large", "UPDATE large", "DELETE large"],
        "all": ["INSERT large", "UPDATE large", "UPDATE large", "UPDATE large", "DELETE large", "INSERT last"],
    }
    assert not any("resync" in each.names for each in shown.values())


def as_told(envelope: dict[str, Any]) -> str:
    return f"{'LEFT' if envelope.get('left') else envelope['operation']} {envelope['id']}"


async def write_large(guarded: Guarded) -> None:
    orders, key = guarded.orders, {"_id": "large"}
    await orders.insert_one({**key, **ADA, "filler": "x" * 9_000_000})
    await orders.update_one(key, {"$set": {"status": "shipped"}})
    await orders.update_one(key, {"$set": {"customer_name": "Eve"}})
    await orders.update_one(key, {"$set": {"status": "delivered"}})
    await orders.delete_one(key)
    await orders.insert_one({"_id": "last", **ADA})
