"""What clients use is shared through Redis, with the rights of compose's user; without Redis each gateway goes on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from services.commands.make_secrets import valkey_users
from services.embedded.ports import free_port
from services.embedded.valkey import Valkey
from services.gateway.edge.fair_share import FairShare, Limit
from services.gateway.edge.quota import Quota, Use
from services.gateway.shared_limits import BATCH, open_shared_limits
from services.redis.schema import StreamKeys
from tests.waiting import meanwhile, until

KEYS = StreamKeys.of("orders")
ALONE = "Cannot share usage counters through Redis, limiting clients on this gateway alone"
TOGETHER = "Usage counters are shared with the other gateways again"


def allowed(share: FairShare, subject: str, times: int = 1) -> int:
    standings = [share.charge(Use.READS, "203.0.113.7", subject) for _ in range(times)]
    return sum(standing is not None and standing.is_allowed for standing in standings)


def left(share: FairShare, subject: str, using: int = 1) -> int:
    """Use one, or so many; return how many are left."""
    standing = share.charge(Use.READS, "203.0.113.7", subject, using)
    assert standing is not None
    return standing.remaining


@asynccontextmanager
async def gateways(url: str, quota: Quota, number: int = 2) -> AsyncIterator[list[FairShare]]:
    async with AsyncExitStack() as stack:
        made = [FairShare({Use.READS: Limit(quota)}) for _ in range(number)]
        for share in made:
            shared = await stack.enter_async_context(open_shared_limits(url, KEYS, share))
            await stack.enter_async_context(meanwhile(shared.keep_shared()))
        yield made


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    users = tmp_path / "users.acl"
    users.write_text(valkey_users("watcher", "gateway", "admin"))
    async with Valkey(folder=tmp_path / "valkey", port=free_port(), arguments=("--aclfile", str(users))) as server:
        yield server


def gateway_url(valkey: Valkey) -> str:
    return valkey.uri().replace("//", "//gateway:gateway@")


async def keys_in(valkey: Valkey) -> dict[str, int]:
    """Return the keys of limits, and in how many milliseconds each expires."""
    async with Redis.from_url(valkey.uri().replace("//", "//watcher:watcher@"), decode_responses=True) as redis:
        return {key: await redis.pttl(key) async for key in redis.scan_iter(KEYS.limit("*"))}


async def test_what_one_gateway_has_allowed_the_other_does_not_allow_again(valkey: Valkey) -> None:
    async with gateways(gateway_url(valkey), Quota(20, 600)) as (one, other):
        assert allowed(one, "ada", 20) == 20
        await until(lambda: left(other, "ada") == 0, "the other knows")
        assert allowed(other, "ada", 20) == 0
        assert allowed(other, "bea", 20) == 20
        await until(lambda: left(one, "bea") == 0, "the other way round, too")
        keys = await keys_in(valkey)
        assert len(keys) == 2
        assert all("ada" not in key and 0 < left <= 800_000 for key, left in keys.items())


async def test_more_clients_than_are_told_at_once_are_told_one_after_the_other(valkey: Valkey) -> None:
    async with gateways(gateway_url(valkey), Quota(1, 600)) as (one, other):
        names = [f"client {number}" for number in range(2 * BATCH + 1)]
        assert sum(allowed(one, name) for name in names) == len(names)

        async def all_are_told() -> bool:
            return len(await keys_in(valkey)) == len(names)

        await until(all_are_told, "each has a key")
        assert one.take_due(1) == []
        assert allowed(other, names[-1]) == 1


async def test_a_key_lasts_until_all_is_available_again_and_what_is_given_back_ends_it(valkey: Valkey) -> None:
    async with gateways(gateway_url(valkey), Quota(10, 2)) as (one, other):
        assert allowed(one, "ada", 10) == 10
        await until(lambda: left(other, "ada") <= 1, "the other knows")
        keys = await keys_in(valkey)
        assert all(left <= 3000 for left in keys.values())

        async def is_gone() -> bool:
            return not await keys_in(valkey)

        await until(is_gone, "it expires")
        # A gateway that is told late takes what it is told of for later use.
        await until(lambda: left(other, "ada", using=0) == 10, "all is available there, too")
        assert allowed(other, "ada", 10) == 10
    async with gateways(gateway_url(valkey), Quota(10, 600)) as (one, _):
        assert allowed(one, "bea", 4) == 4
        await until(lambda: keys_in(valkey), "it is told")
        for _ in range(4):
            one.give_back(Use.READS, "203.0.113.7", "bea")
        await until(is_gone, "it has nothing to say any more")


async def test_without_redis_each_gateway_goes_on_alone_and_afterwards_they_add_up(valkey: Valkey) -> None:
    with capture_logs() as lines:
        async with gateways(gateway_url(valkey), Quota(20, 600)) as (one, other):
            assert allowed(one, "ada", 2) == 2
            await until(lambda: keys_in(valkey), "it is told")
            await valkey.kill()
            began = monotonic()
            assert allowed(one, "ada", 30) == 18  # no more than before, and at once
            assert allowed(other, "ada", 30) == 20
            assert monotonic() - began < 1
            await until(lambda: events(lines).count(ALONE) == 2, "both have noticed")
            assert allowed(one, "bea", 30) == 20
            await asyncio.sleep(1.2)  # another attempt, which nobody needs to read of
            assert events(lines) == [ALONE, ALONE]
            await valkey.start()
            await until(lambda: events(lines).count(TOGETHER) == 2, "both are together again")
            assert Counter(events(lines)) == {ALONE: 2, TOGETHER: 2}
            await until(lambda: left(other, "bea") == 0, "what was used meanwhile counts")
            assert max((await keys_in(valkey)).values()) > 600_000  # twice the quota, which takes as long to come back


async def test_redis_that_may_not_be_written_is_the_same(valkey: Valkey) -> None:
    stranger = valkey.uri().replace("//", "//watcher:wrong@")
    with capture_logs() as lines:
        async with gateways(stranger, Quota(5, 600), 1) as (one,):
            assert allowed(one, "ada", 10) == 5
            await until(lambda: events(lines) == [ALONE], "it is said once")


def events(lines: Sequence[Mapping[str, object]]) -> list[object]:
    return [line["event"] for line in lines if line["event"] in {ALONE, TOGETHER}]
