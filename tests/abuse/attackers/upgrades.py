"""Upgrades from polling to a websocket, out of turn."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.polling import PollingSession, polling
from tests.abuse.attackers.wire import CUT, forever, websocket
from tests.unit.websocket_client import CLOSE, CONTINUATION, PING, TEXT, frame
from tests.waiting import cancel_all

PROBE, UPGRADE = frame(TEXT, b"2probe"), frame(TEXT, b"5")
_LASTING = 0.15  # seconds in which a few changes come


async def _upgrade(target: Target, tally: Tally, segments: Sequence[bytes], *, held: bool = True) -> None:
    """Send the segments over the websocket of a session that holds a GET; stay for a few changes; leave."""
    async with polling(target, tally) as session:
        await session.get()  # the reply to CONNECT: from here on there is a subscription
        poll = asyncio.create_task(session.get()) if held else None
        try:
            await asyncio.sleep(0.02)
            async with websocket(target, tally, sid=session.sid, join=False) as ws, ws.swallowing():
                for segment in segments:
                    await ws.send(segment)
                    await asyncio.sleep(0.01)
                await asyncio.sleep(_LASTING)
                with suppress(*CUT):
                    await ws.text(b'42["subscribe",{"status":"pending"}]')
                    await asyncio.sleep(_LASTING)
        finally:
            if poll is not None:
                await cancel_all(poll)


@attacker()
async def upgrade_without_a_probe(target: Target, tally: Tally) -> None:
    """Holds a GET and upgrades without having probed."""
    await forever(lambda: _upgrade(target, tally, [UPGRADE]), tally, at_once=4)


@attacker()
async def probe_and_upgrade_at_once(target: Target, tally: Tally) -> None:
    """Holds a GET and sends probe and upgrade in one segment."""
    await forever(lambda: _upgrade(target, tally, [PROBE + UPGRADE]), tally, at_once=4)


@attacker()
async def probes_twice(target: Target, tally: Tally) -> None:
    """Probes again and again, upgrades, and upgrades once more."""
    await forever(lambda: _upgrade(target, tally, [PROBE + PROBE, PROBE, UPGRADE + UPGRADE, PROBE]), tally, at_once=4)


@attacker()
async def closes_mid_upgrade(target: Target, tally: Tally) -> None:
    """Probes, and then closes the websocket, or the session, in the place of upgrading."""

    async def attempt() -> None:
        await _upgrade(target, tally, [PROBE + frame(CLOSE, b"")])
        await _upgrade(target, tally, [PROBE, frame(TEXT, b"1")])
        await _upgrade(target, tally, [PROBE + UPGRADE + frame(CLOSE, b"")])

    await forever(attempt, tally, at_once=4)


@attacker()
async def upgrades_in_fragments(target: Target, tally: Tally) -> None:
    """Sends the probe in fragments with pings between them, and the upgrade behind it."""
    probe = frame(TEXT, b"2pr", fin=False) + frame(PING, b"") + frame(CONTINUATION, b"obe")
    await forever(
        lambda: _upgrade(target, tally, [probe + frame(TEXT, b"", fin=False), frame(CONTINUATION, b"5")]), tally
    )


@attacker()
async def upgrades_with_nothing_held(target: Target, tally: Tally) -> None:
    """Upgrades in one segment while no GET is held, and asks for one afterwards."""

    async def attempt() -> None:
        async with (
            polling(target, tally) as session,
            websocket(target, tally, sid=session.sid, join=False) as ws,
            ws.swallowing(),
        ):
            await ws.send(PROBE + UPGRADE + frame(TEXT, b"40"))
            with suppress(TimeoutError, *CUT):
                await asyncio.wait_for(session.get(), _LASTING)

    await forever(attempt, tally, at_once=4)


@attacker()
async def websockets_of_others(target: Target, tally: Tally) -> None:
    """Opens several websockets for one session, and for sessions that are none."""

    async def attempt() -> None:
        async with polling(target, tally) as session:
            async with (
                websocket(target, tally, sid=session.sid, join=False) as first,
                websocket(target, tally, sid=session.sid, join=False) as second,
                first.swallowing(),
                second.swallowing(),
            ):
                await second.send(PROBE + UPGRADE)
                await first.send(PROBE + UPGRADE)
                await asyncio.sleep(0.05)
            async with websocket(target, tally, sid=MARK, join=False) as third:
                await third.send(UPGRADE)
                await third.swallow()

    await forever(attempt, tally, at_once=4)


@attacker()
async def upgrades_that_stay(target: Target, tally: Tally) -> None:
    """Opens websockets for a session that has one already, and stays when the server closes them."""

    async def attempt(session: PollingSession, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(websocket(target, tally, sid=session.sid, join=False))

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(polling(target, tally))
        await forever(lambda: attempt(session, stack), tally, at_once=8)


_PACKETS = [
    *[b"40", b"41", b"42", b"2", b"2probe", b"3", b"3probe", b"5", b"6", b"1", b"4", b"", b"x", b"0{}", b"bAQID"],
    *[b'42["subscribe",{"status":"shipped"}]', b'421["subscribe",{}]', b'42["unsubscribe"]', b'42["no"]', b"43[]"],
    *[b'42["subscribe",{"ids":["a"]}]', b'40{"since":"x.1-1"}', b'40{"filter":{"status":1}}', b"451-[0]", b"40/no,"],
]


@attacker()
async def any_order(target: Target, tally: Tally) -> None:
    """Holds polls, probes, upgrades, closes, posts and fragments, in any order, in twelve sessions at once."""
    seeds = random.Random(target.seed)

    async def attempt() -> None:
        rng = random.Random(seeds.randrange(1 << 32))
        async with polling(target, tally, join=rng.random() < 0.8) as session:
            await _wander(target, tally, session, rng)

    await forever(attempt, tally, at_once=12)


async def _wander(target: Target, tally: Tally, session: PollingSession, rng: random.Random) -> None:
    """Do six to sixteen things at once, each as soon as it likes."""
    tasks: set[asyncio.Task[object]] = set()
    sockets = [_websocket(target, tally, session, rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))]
    tasks |= {asyncio.create_task(each) for each in sockets}
    try:
        for _ in range(rng.randint(4, 14)):
            match rng.choice(["get", "get", "post", "post", "wait"]):
                case "get":
                    tasks.add(asyncio.create_task(session.get()))
                case "post":
                    tasks.add(asyncio.create_task(session.post(*_some_packets(rng))))
                case _:
                    await asyncio.sleep(rng.choice([0, 0.005, 0.05]))
            tally["steps"] += 1
        if tasks:  # once in some 25,000 times all that it does is to wait
            await asyncio.wait(tasks, timeout=rng.choice([0.05, 0.3]))
    finally:
        await cancel_all(*tasks)


async def _websocket(target: Target, tally: Tally, session: PollingSession, rng: random.Random) -> None:
    await asyncio.sleep(rng.choice([0, 0.01, 0.03]))
    async with websocket(target, tally, sid=session.sid, join=False) as ws, ws.swallowing():
        for _ in range(rng.randint(1, 6)):
            await ws.send(b"".join(_piece(rng) for _ in range(rng.randint(1, 4))))
            await asyncio.sleep(rng.choice([0, 0, 0.005, 0.05]))
            tally["steps"] += 1
        await asyncio.sleep(rng.choice([0, 0.1]))


def _piece(rng: random.Random) -> bytes:
    """Return what a client may send over a websocket: a step of an upgrade, a packet, or a fragment of one."""
    packet = rng.choice(_PACKETS)
    match rng.randrange(10):
        case 0 | 1 | 2:
            return PROBE
        case 3 | 4:
            return UPGRADE
        case 5:
            return frame(TEXT, packet[:2], fin=False) + frame(CONTINUATION, packet[2:])
        case 6:
            return frame(rng.randrange(16), packet, fin=rng.random() < 0.5, rsv=rng.choice([0, 0, 0, 4]))
        case 7:
            return frame(PING, packet)
        case _:
            return frame(TEXT, packet)


def _some_packets(rng: random.Random) -> list[bytes]:
    return [rng.choice(_PACKETS) for _ in range(rng.randint(1, 4))]


ATTACKERS: list[Attacker] = [
    upgrade_without_a_probe,
    probe_and_upgrade_at_once,
    probes_twice,
    closes_mid_upgrade,
    upgrades_in_fragments,
    upgrades_with_nothing_held,
    websockets_of_others,
    upgrades_that_stay,
]
FUZZER = any_order
