"""The stock JavaScript client, several of them in one Node process; this process loads their lists."""

import asyncio
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.faults.order import Wanted
from tests.faults.shown import from_envelope
from tests.faults.viewers.viewer import Viewer
from tests.waiting import cancel_all

_PROGRAM = Path(__file__).with_name("stock.mjs")
_ROOT = Path(__file__).parents[3]
_LINE_LIMIT = 1 << 24


def stock_clients_missing() -> str | None:
    """Return what is missing for the stock clients, or None."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (_ROOT / "node_modules" / "socket.io-client").is_dir():
        return "node_modules has no socket.io-client (make setup)"
    return None


class StockViewer(Viewer):
    """One stock client; reconnects by its own rules."""

    kind = "stock"

    def __init__(
        self,
        name: str,
        wanted: Wanted,
        gateways: Sequence[str],
        session: aiohttp.ClientSession,
        rng: random.Random,
        transports: Sequence[str],
    ) -> None:
        super().__init__(name, wanted, gateways, session, rng)
        self.transports = list(transports)
        self.node: Node | None = None

    @property
    def quiet_since(self) -> float:
        return float("inf")  # it judges by itself

    async def listen(self, gateway: str) -> None:
        assert self.node is not None
        self.node.tell(self, "start", gateway)
        await asyncio.get_running_loop().create_future()  # the rest comes by `said`

    def drop(self) -> None:
        if self.node is not None:
            self.node.tell(self, "hop", "")

    def order(self, gateway: str) -> dict[str, Any]:
        """Return Node's order to start this client."""
        fields = self.record.wanted.fields()
        return {
            "urls": list(self._gateways),
            "url": self._gateways.index(gateway) if gateway else 0,
            "transports": self.transports,
            "since": self.since,
            **({"filter": fields} if fields else {}),
            **({"token": self.token} if self.token else {}),
        }

    def said(self, event: str, detail: Any) -> None:
        """Take a report of the client."""
        match event:
            case "orderUpdate":
                self.show(from_envelope, json.dumps(detail).encode())
            case "connected":
                self.greeted(recovered=bool(detail))
            case "resync":
                self.resync(detail["reason"], detail["cursor"])
            case "disconnect":
                self.connected = False


class Node:
    """The Node process; used by `async with`."""

    def __init__(self, viewers: Sequence[StockViewer]) -> None:
        self._viewers = viewers
        for viewer in viewers:
            viewer.node = self

    async def __aenter__(self) -> Self:
        self._child = await asyncio.create_subprocess_exec(
            "node",
            str(_PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            limit=_LINE_LIMIT,
            process_group=0,
        )
        self._listener = asyncio.create_task(self._listen())
        return self

    def tell(self, viewer: StockViewer, what: str, gateway: str) -> None:
        """Send an order to a client."""
        assert self._child.stdin is not None
        line = {"do": what, "index": self._viewers.index(viewer), **(viewer.order(gateway) if what == "start" else {})}
        if not self._child.stdin.is_closing():
            self._child.stdin.write(json.dumps(line).encode() + b"\n")

    async def _listen(self) -> None:
        assert self._child.stdout is not None
        async for line in self._child.stdout:
            index, event, detail = json.loads(line)
            self._viewers[index].said(event, detail)

    async def __aexit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()  # it ends by itself then
        try:
            async with asyncio.timeout(5):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
        await cancel_all(self._listener)
