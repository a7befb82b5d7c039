"""Websocket frames that cost the server work without being messages: too many, too small, too late."""

from tests.abuse.attackers.attacker import MARK, Attacker, Tally, Target, attacker
from tests.abuse.attackers.wire import forever, websocket
from tests.unit.websocket_client import CONTINUATION, PING, PONG, TEXT, frame

_SEGMENT = 65_536


def _filled(one: bytes) -> bytes:
    """Return it as often as goes into one segment."""
    return one * (_SEGMENT // len(one))


async def _flood(target: Target, tally: Tally, data: bytes, first: bytes = b"", *, at_once: int = 1) -> None:
    """Send without a pause, also after the server has closed, until it cuts the connection."""

    async def attempt() -> None:
        async with websocket(target, tally) as ws, ws.swallowing():
            await ws.send(first)
            while True:
                await ws.send(data)

    await forever(attempt, tally, at_once=at_once)


@attacker()
async def empty_continuations(target: Target, tally: Tally) -> None:
    """Begins a message and sends empty fragments of it, as fast as it can."""
    await _flood(target, tally, _filled(frame(CONTINUATION, b"", fin=False)), frame(TEXT, b"4", fin=False))


@attacker()
async def slow_empty_continuations(target: Target, tally: Tally) -> None:
    """Begins a message of sixty fragments, ends it, and begins the next at once."""
    message = frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 58 + frame(CONTINUATION, b"6")
    await _flood(target, tally, _filled(message))


@attacker()
async def tiny_fragments(target: Target, tally: Tally) -> None:
    """Sends one packet in twenty thousand fragments of a byte each."""
    one = frame(CONTINUATION, b"x", fin=False)
    packet = frame(TEXT, b"4", fin=False) + one * 20_000 + frame(CONTINUATION, b"")
    await _flood(target, tally, packet)


@attacker()
async def ping_flood(target: Target, tally: Tally) -> None:
    """Sends websocket pings as fast as it can."""
    await _flood(target, tally, _filled(frame(PING, b"")))


@attacker()
async def twenty_ping_floods(target: Target, tally: Tally) -> None:
    """Sends websocket pings with a payload on twenty connections."""
    await _flood(target, tally, _filled(frame(PING, MARK.encode() * 10)), at_once=20)


@attacker()
async def pong_flood(target: Target, tally: Tally) -> None:
    """Sends websocket pongs that nobody has asked for."""
    await _flood(target, tally, _filled(frame(PONG, b"")))


@attacker()
async def tiny_texts(target: Target, tally: Tally) -> None:
    """Sends ten thousand text frames of one byte in each segment."""
    await _flood(target, tally, _filled(frame(TEXT, b"6")))


@attacker()
async def tiny_events(target: Target, tally: Tally) -> None:
    """Sends thousands of unknown events in each segment."""
    await _flood(target, tally, _filled(frame(TEXT, f'42["{MARK}"]'.encode())))


@attacker()
async def frames_after_close(target: Target, tally: Tally) -> None:
    """Breaks the protocol, so that the server closes, and goes on sending frames."""
    await _flood(target, tally, _filled(frame(TEXT, b"3")), frame(TEXT, b"4", rsv=7))


@attacker()
async def frames_after_leaving(target: Target, tally: Tally) -> None:
    """Says that it leaves, and goes on sending frames."""
    await _flood(target, tally, _filled(frame(PING, b"")), frame(TEXT, b"41") + frame(TEXT, b"1"))


ATTACKERS: list[Attacker] = [
    empty_continuations,
    slow_empty_continuations,
    tiny_fragments,
    ping_flood,
    twenty_ping_floods,
    pong_flood,
    tiny_texts,
    tiny_events,
    frames_after_close,
    frames_after_leaving,
]
