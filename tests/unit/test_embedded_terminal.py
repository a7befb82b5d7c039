"""The common terminal: whole lines, each with its writer's name, however the pipe cuts them."""

import asyncio
import io
import os

import pytest

from services.embedded.terminal import Terminal


def _relayed(*chunks: bytes) -> list[str]:
    stream = io.StringIO()

    async def relay() -> None:
        reader = asyncio.StreamReader()
        for chunk in chunks:
            reader.feed_data(chunk)
        reader.feed_eof()
        await Terminal(stream).relay("watcher", reader)

    asyncio.run(relay())
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ((b"one\ntwo\n",), ["watcher  | one", "watcher  | two"]),
        ((b"on", b"e\ntw", b"o"), ["watcher  | one", "watcher  | two"]),
        ((b"one\r\n\n",), ["watcher  | one", "watcher  | "]),
        ((b"caf\xc3\xa9 \xff\n",), ["watcher  | café \N{REPLACEMENT CHARACTER}"]),
        ((), []),
    ],
)
def test_output_arrives_line_by_line(chunks: tuple[bytes, ...], lines: list[str]) -> None:
    assert _relayed(*chunks) == lines


def test_a_line_without_an_end_is_cut_rather_than_kept() -> None:
    lines = _relayed(b"x" * 200_000)
    assert sum(line.count("x") for line in lines) == 200_000
    assert max(map(len, lines)) < 150_000


def test_names_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    Terminal(stream).say("gateway", "hello")
    assert stream.getvalue() == "\033[32mgateway  |\033[0m hello\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    Terminal(stream).say("gateway", "hello")
    assert stream.getvalue() == "gateway  | hello\n"


def test_a_terminal_that_is_gone_stops_no_service() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # Unbuffered below, so that closing it has nothing left to write.
    with io.TextIOWrapper(os.fdopen(writing, "wb", buffering=0), write_through=True) as stream:
        Terminal(stream).say("gateway", "hello")
