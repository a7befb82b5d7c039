"""Serves what the official test suites expect: `python -m tests.conformance.server --port N [--engine-only]`."""

import argparse
from collections.abc import Mapping, Sequence

import uvloop
from aiohttp import web

from services.gateway.transports.engineio import EngineServer
from services.gateway.transports.session import Session
from services.gateway.transports.socketio import Ack, EngineSettings, Namespace, Socket, SocketServer
from services.gateway.wire.socketio import Argument

SETTINGS = EngineSettings(
    ping_interval=0.3, ping_timeout=0.2, max_payload=1_000_000, connect_timeout=45, packets_per_second=1000
)


class Echo(Namespace[Mapping[str, Argument]]):
    """Says back what it is told."""

    def connect(self, socket: Socket[Mapping[str, Argument]], auth: Mapping[str, Argument]) -> None:
        socket.state = auth

    def connected(self, socket: Socket[Mapping[str, Argument]]) -> None:
        socket.emit("auth", socket.state)

    def event(
        self, socket: Socket[Mapping[str, Argument]], name: str, args: Sequence[Argument], ack: Ack | None
    ) -> None:
        if name == "message":
            socket.emit("message-back", *args)
        elif name == "message-with-ack" and ack is not None:
            ack(*args)


class EngineEcho:
    """Says back each message of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def received(self, message: str | bytes) -> None:
        self._session.send(message.encode() if isinstance(message, str) else message, binary=isinstance(message, bytes))

    def closed(self, reason: str) -> None:
        pass

    def paused(self) -> None:
        pass

    def resumed(self) -> None:
        pass


def application(*, engine_only: bool, settings: EngineSettings = SETTINGS) -> web.Application:
    """Return the application; it closes its connections when it ends."""
    app = web.Application()
    server: EngineServer | SocketServer
    if engine_only:
        server = EngineServer(EngineEcho, settings)
        server.attach(app, "/engine.io/")
    else:
        server = SocketServer({"/": Echo(), "/custom": Echo()}, settings)
        server.attach(app, "/socket.io/")

    async def close(_: web.Application) -> None:
        await server.close()

    app.on_shutdown.append(close)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--engine-only", action="store_true")
    options = parser.parse_args()
    web.run_app(application(engine_only=options.engine_only), port=options.port, loop=uvloop.new_event_loop())
