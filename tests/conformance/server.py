"""The server that the official test suites expect: `python -m tests.conformance.server --port N [--engine-only]`."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import uvloop
from aiohttp import web

from services.gateway.engineio.application import Application
from services.gateway.engineio.server import EngineServer
from services.gateway.engineio.session import Session
from services.gateway.socketio.server import Ack, EngineSettings, Namespace, Socket, SocketServer
from services.gateway.wire.socketio import Argument

Auth = Mapping[str, Argument]

SETTINGS = EngineSettings(
    ping_interval=0.3,
    ping_timeout=0.2,
    max_payload=1_000_000,
    connect_timeout=45,
    packets_per_second=100_000,
    packets_burst=100_000,
)


class Echo(Namespace[Auth]):
    """Echoes its messages."""

    def connect(self, socket: Socket[Auth], auth: Auth) -> None:
        socket.state = auth

    async def started(self, socket: Socket[Auth]) -> None:
        # The suites listen for one frame at a time, and miss the second of two that come at once.
        await asyncio.sleep(0.005)
        socket.emit("auth", socket.state)

    def event(self, socket: Socket[Auth], name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        if name == "message":
            socket.emit("message-back", *args)
        elif name == "message-with-ack" and ack is not None:
            ack(*args)


class EngineEcho(Application):
    """Says back each message of a session, text as text and binary as binary."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._session.send_binary(message)
        else:
            self._session.send(message.encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine-only", action="store_true")
    parser.add_argument("--ping-timeout", type=float, default=SETTINGS.ping_timeout)
    options = parser.parse_args()
    settings = replace(SETTINGS, ping_timeout=options.ping_timeout)
    app = web.Application()
    if options.engine_only:
        EngineServer(EngineEcho, settings).attach(app)
    else:
        SocketServer({"/": Echo(), "/custom": Echo()}, settings).attach(app)
    web.run_app(app, port=options.port, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
