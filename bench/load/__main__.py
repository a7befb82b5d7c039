"""The listening process: `python -m bench.load`."""

import json
import resource
from typing import Any

from bench.load.commands import serve
from bench.load.crowd import Crowd
from bench.load.greetings import Bare, Greeting, ServerSentEvents, SocketIo
from bench.load.latency import latencies, percentile


class Listener:
    """Does what it is told."""

    def __init__(self) -> None:
        self._crowd = Crowd("")

    async def open(self, url: str, count: int, protocol: str, groups: int = 0) -> dict[str, Any]:
        """Open clients; with ``groups``, client n filters by customer n modulo ``groups``."""
        self._crowd.close()
        self._crowd = Crowd(url)

        def greeting(n: int) -> Greeting:
            name = f"customer-{n % groups}" if groups else ""
            return _greeting(protocol, name)

        return {"seconds": await self._crowd.open(count, greeting, lambda n: str(n % groups) if groups else "")}

    async def begin(self, *, timing: bool = False) -> dict[str, Any]:
        self._crowd.begin(timing=timing)
        return {}

    async def complete(self, events: int, seconds: float = 60.0, without: int = 0) -> dict[str, Any]:
        """Wait for the events, and check them."""
        finished = await self._crowd.complete(events, seconds, without=without)
        if not without:
            self._crowd.verify(events)
        return {"finished": finished, "clients": len(self._crowd.clients)}

    async def latency(self, acknowledged: list[tuple[int, int, float]]) -> dict[str, Any]:
        """Return the percentiles, in seconds, of the time from acknowledgement to receipt."""
        times = {(writer, number): at for writer, number, at in acknowledged}
        waits = sorted(wait for reference in self._crowd.references.values() for wait in latencies(reference, times))
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {"deliveries": len(waits)} | {name: percentile(waits, share) for name, share in shares.items()}

    async def lost(self) -> dict[str, Any]:
        return {"lost": sum(client.lost for client in self._crowd.clients)}

    async def close(self) -> dict[str, Any]:
        self._crowd.close()
        return {}


def _greeting(protocol: str, customer: str) -> Greeting:
    match protocol:
        case "orders-websocket":
            auth = json.dumps({"filter": {"customer_name": [customer]}}).encode() if customer else b""
            return SocketIo(auth, connected=True)
        case "socketio-websocket":
            return SocketIo()
        case "sse":
            return ServerSentEvents()
        case _:
            return Bare(protocol)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve(Listener())
