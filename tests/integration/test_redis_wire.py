"""Connections that are taken over from redis-py: the handover, and how their end is reported."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, NoScriptError  # noqa: A004

from services.redis.wire import RedisWire, packed
from services.watcher.pipeline import Pipeline
from tests.conftest import OwnValkey
from tests.waiting import HANGS, until


class Receiver:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        self.ends: list[Exception] = []

    async def replied(self, count: int) -> list[Any]:
        await until(lambda: len(self.replies) >= count, f"{count} replies")
        return self.replies

    async def ended(self) -> Exception:
        await until(lambda: self.ends, "the end of the connection")
        return self.ends[0]


@asynccontextmanager
async def wire(redis: Redis, receiver: Receiver, take: Callable[[Any], None] | None = None) -> AsyncIterator[RedisWire]:
    async with aclosing(await RedisWire.open(redis, take or receiver.replies.append, receiver.ends.append)) as opened:
        yield opened


async def test_replies_come_in_order_however_the_network_cuts_them(redis: Redis) -> None:
    receiver, long = Receiver(), b"x" * 3_000_000
    async with wire(redis, receiver) as connection:
        for text in (b"one", long, b"", b"two"):
            connection.send(packed("ECHO", text))
        assert await receiver.replied(4) == [b"one", long, b"", b"two"]
    assert receiver.ends == []


async def test_an_error_of_redis_is_a_reply_of_the_kind_that_redis_py_has_for_it(redis: Redis) -> None:
    receiver = Receiver()
    async with wire(redis, receiver) as connection:
        connection.send(packed("EVALSHA", "0" * 40, 0))
        connection.send(packed("ECHO", "after"))
        error, after = await receiver.replied(2)
    assert isinstance(error, NoScriptError)
    assert after == b"after"


async def test_messages_of_a_channel_come_as_they_are(redis: Redis) -> None:
    receiver = Receiver()
    async with wire(redis, receiver) as connection:
        connection.send(packed("SUBSCRIBE", "news"))
        await receiver.replied(1)
        await redis.publish("news", "a")
        await redis.publish("news", "b")
        await receiver.replied(3)
    assert receiver.replies == [[b"subscribe", b"news", 1], [b"message", b"news", b"a"], [b"message", b"news", b"b"]]


async def test_a_connection_that_is_cut_says_so_once(redis: Redis) -> None:
    receiver = Receiver()
    async with wire(redis, receiver) as connection:
        connection.send(packed("CLIENT", "ID"))
        (number,) = await receiver.replied(1)
        await redis.client_kill_filter(_id=number)
        assert isinstance(await receiver.ended(), ConnectionError)
        assert not connection.is_open
        connection.send(packed("ECHO", "into the void"))
    assert len(receiver.ends) == 1
    assert len(receiver.replies) == 1


async def test_after_giving_it_up_nothing_more_is_reported_and_redis_py_may_close_at_once(redis: Redis) -> None:
    receiver = Receiver()
    async with wire(redis, receiver) as connection:
        connection.send(packed("ECHO", "too late"))
    async with asyncio.timeout(HANGS), wire(redis, Receiver()):
        await redis.aclose()
    assert await redis.ping()
    assert (receiver.replies, receiver.ends) == ([], [])


async def test_an_error_of_the_callback_is_reported_and_ends_the_connection(redis: Redis) -> None:
    receiver, fault = Receiver(), ZeroDivisionError("in the taker")
    taken: list[bytes] = []

    def take(reply: bytes) -> None:
        taken.append(reply)
        raise fault

    async with wire(redis, receiver, take) as connection:
        connection.send(packed("ECHO", "one"))
        connection.send(packed("ECHO", "two"))
        assert await receiver.ended() is fault
        assert not connection.is_open
        connection.send(packed("ECHO", "three"))
        await redis.ping()
        assert taken == [b"one"]
    assert receiver.ends == [fault]


async def test_malformed_bytes_end_the_connection(redis: Redis) -> None:
    receiver = Receiver()
    async with wire(redis, receiver) as connection:
        connection.data_received(b"what is this?\r\n")
        assert type(await receiver.ended()).__name__ == "InvalidResponse"
    assert len(receiver.ends) == 1


async def test_a_pipeline_goes_on_over_another_connection_when_theirs_is_cut(redis: Redis) -> None:
    async with aclosing(Pipeline(redis, 5)) as pipeline:
        assert await echo(pipeline, "one") == [b"one"]
        await redis.client_kill_filter(_type="normal", skipme=True)
        lost = pipeline._wire  # nothing else shows that the news has come
        await until(lambda: lost is not None and not lost.is_open, "the connection is known to be gone")
        assert await echo(pipeline, "two") == [b"two"]


async def test_a_push_message_is_not_taken_for_a_reply(redis: Redis) -> None:
    async with aclosing(Pipeline(redis, 5)) as pipeline:
        assert await echo(pipeline, "one") == [b"one"]
        assert pipeline._wire is not None
        pipeline._wire.send(packed("SUBSCRIBE", "news"))
        assert await echo(pipeline, "two") == [b"two"]


async def test_an_abandoned_reply_is_not_taken_for_the_next(redis: Redis) -> None:
    async with aclosing(Pipeline(redis, 5)) as pipeline:
        assert await echo(pipeline, "one") == [b"one"]
        pipeline.send([packed("ECHO", "two")])
        assert await echo(pipeline, "three") == [b"three"]


async def test_a_failed_send_is_raised_where_its_reply_is_awaited(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, aclosing(Pipeline(redis, 5)) as pipeline:
        await server.kill()
        pipeline.send([packed("ECHO", "one")])
        with pytest.raises(ConnectionError):
            await pipeline.replies()


async def test_a_command_that_is_cut_off_in_the_middle_has_failed(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, aclosing(Pipeline(redis, 20)) as pipeline:
        assert await echo(pipeline, "one") == [b"one"]
        server.pause()
        running = asyncio.create_task(echo(pipeline, "two"))
        await asyncio.sleep(0)
        await server.kill()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(running, HANGS)
        await server.start()
        assert await echo(pipeline, "three") == [b"three"]


async def test_no_reply_in_time_is_a_failure_and_a_later_one_is_discarded(own_valkey: OwnValkey) -> None:
    server = await own_valkey()
    async with Redis.from_url(server.uri()) as redis, aclosing(Pipeline(redis, 0.2)) as pipeline:
        assert await patiently(pipeline, "one") == [b"one"]
        server.pause()
        with pytest.raises(TimeoutError):
            await echo(pipeline, "two")
        server.resume()
        assert await asyncio.wait_for(patiently(pipeline, "three"), HANGS) == [b"three"]


async def echo(pipeline: Pipeline, *texts: str) -> list[Any]:
    pipeline.send([packed("ECHO", text) for text in texts])
    return await pipeline.replies()


async def patiently(pipeline: Pipeline, text: str) -> Any:
    while True:
        try:
            return await echo(pipeline, text)
        except TimeoutError:
            continue
