"""The listening process: `python -m bench.load`."""

import asyncio
import json
import resource
import time
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from bench.load.commands import serve
from bench.load.crowd import Crowd
from bench.load.greetings import Bare, Greeting, ServerSentEvents, SocketIo
from bench.load.latency import latencies, percentile
from bench.load.tokens import token

DOZE = 0.005


class Listener:
    """Executes the commands of the measures."""

    def __init__(self) -> None:
        self._crowd = Crowd("")
        self._dozing: asyncio.Task[None] | None = None

    async def open(
        self,
        url: str,
        count: int,
        protocol: str,
        groups: int = 0,
        *,
        more: bool = False,
        rights: bool = False,
        source: str | None = None,
    ) -> None:
        """Open clients, or ``more`` of them; with ``groups``, client n filters by customer n modulo ``groups``.

        With ``rights`` it has no filter, but a token for the orders of that customer only. They connect from the
        address ``source``, or from any.
        """
        if not more:
            self._crowd.close()
            self._crowd, self._protocol = Crowd(url, source), protocol
        names = [f"customer-{n % groups}" if groups else "" for n in range(count)]
        auths = [
            {"token": token(f"subject-{n}", name)} if rights else {"filter": _filter(name)}
            for n, name in enumerate(names)
        ]
        await self._crowd.open([_greeting(protocol, auth) for auth in auths], names)

    async def begin(self, *, timing: bool = False, stalled: int = 0) -> None:
        """Start a new measurement, once all clients have got everything; the first ``stalled`` clients stop reading."""
        self._crowd.begin(timing=timing, stalled=stalled)

    async def doze(self) -> None:
        """From now on, read at intervals only.

        A listener that waits for events is woken for each one, and the kernel does that in the server's time. Clients
        on machines of their own are not woken by the server.
        """
        self._crowd.acknowledge_when_read()
        self._dozing = asyncio.create_task(_doze())

    async def leave(self) -> None:
        """Cut all connections."""
        self._sessions = self._crowd.leave()

    async def come_back(self, events: int) -> dict[str, Any]:
        """Reconnect with the previous sessions; return how long it took until all clients had all ``events``."""
        started = perf_counter()
        greetings = [_greeting(self._protocol, {"pid": pid, "offset": offset}) for pid, offset, _ in self._sessions]
        await self._crowd.open(greetings, [""] * len(greetings), at=self._sessions[0].at)
        finished = await self._crowd.complete(events, 60)
        self._crowd.verify(events)
        return {"seconds": finished - started}

    async def complete(
        self, events: int, seconds: float = 60.0, without: int = 0, groups: int | None = None
    ) -> dict[str, Any]:
        """Wait for the events and check them; with ``groups``, those of the first so many, and none of the others."""
        finished = await self._crowd.complete(events, seconds, without=without, groups=groups)
        self._crowd.verify(events, groups=groups)
        return {"finished": finished, "clients": len(self._crowd.clients)}

    async def latency(self, acknowledged: list[tuple[int, int, float]]) -> dict[str, Any]:
        """Return the percentiles, in seconds, of the time from acknowledgement to receipt."""
        times = {(writer, number): at for writer, number, at in acknowledged}
        waits = sorted(wait for reference in self._crowd.references.values() for wait in latencies(reference, times))
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {"deliveries": len(waits)} | {name: percentile(waits, share) for name, share in shares.items()}

    async def lost(self) -> dict[str, Any]:
        return {"lost": sum(client.lost for client in self._crowd.clients)}

    async def close(self) -> None:
        """Cut all connections, and end `doze`."""
        self._crowd.close()
        if self._dozing is not None:
            self._dozing.cancel()


async def _doze() -> None:
    while True:
        time.sleep(DOZE)  # noqa: ASYNC251  # on purpose: the loop must not wait for its sockets
        await asyncio.sleep(0)


def _filter(customer: str) -> dict[str, Any] | None:
    return {"customer_name": [customer]} if customer else None


def _greeting(protocol: str, auth: Mapping[str, Any]) -> Greeting:
    given = {name: value for name, value in auth.items() if value is not None}
    match protocol:
        case "orders-websocket" | "socketio-websocket":
            return SocketIo(json.dumps(given).encode() if given else b"", connected=protocol == "orders-websocket")
        case "sse":
            return ServerSentEvents()
        case _:
            return Bare(protocol)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve(Listener())
