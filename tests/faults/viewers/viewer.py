"""One client of the auditor: loads the list, follows the stream, reconnects by itself, records what it is shown."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress

import aiohttp

from services.common.cursor import Cursor, InvalidCursor
from tests.access.tokens import bearer, token
from tests.faults.order import Wanted, content
from tests.faults.record import Record, View
from tests.faults.shown import Shown
from tests.waiting import cancel_all

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 1.0
LARGEST_PAGE = "500"


class LinkLost(Exception):
    """The connection has ended, or was refused; the client tries again."""


class Viewer(ABC):
    """The base of all kinds; each kind implements how to connect and listen.

    ``gateways`` are base addresses; one that ``stays`` takes its own until that fails, the others any.
    """

    kind: str

    def __init__(
        self, name: str, wanted: Wanted, gateways: Sequence[str], session: aiohttp.ClientSession, rng: random.Random
    ) -> None:
        self.record = Record(f"{name} {self.kind}", wanted)
        self.token = None if wanted.rights is None else token(name, rights=wanted.claim())
        self.connected = False
        self.pause = FIRST_PAUSE
        self._gateways = gateways
        self._session = session
        self._rng = rng
        self._here = rng.choice(gateways)
        self._reloading: asyncio.Task[None] | None = None
        self._moves = False

    @abstractmethod
    async def listen(self, gateway: str) -> None:
        """Connect and stay until the connection is lost; raise LinkLost, OSError or TimeoutError, or return."""

    @abstractmethod
    def drop(self) -> None:
        """Cut the connection, as a network does; does nothing without one."""

    @property
    @abstractmethod
    def quiet_since(self) -> float:
        """When the loop's clock last saw a byte from the server."""

    def move(self) -> None:
        """Cut the connection and reconnect elsewhere at once: it is no fault, so there is no backoff."""
        self._moves = self.connected
        self.drop()

    async def run(self) -> None:
        """Be a client until cancelled."""
        try:
            self._reload()
            await self._loaded()
            while True:
                with suppress(LinkLost, OSError, TimeoutError, asyncio.IncompleteReadError):
                    await self.listen(self._here)
                self.connected = False
                if not self._moves:
                    await asyncio.sleep(self.pause * self._rng.uniform(0.5, 1.5))
                    self.pause = min(self.pause * 2, LONGEST_PAUSE)
                self._moves = False
                self._here = self._rng.choice(self._gateways)
        finally:
            self.drop()
            if self._reloading is not None:
                await cancel_all(self._reloading)

    @property
    def since(self) -> str:
        """The cursor of the list that was loaded last."""
        start = self.record.now.start or self.record.segments[0].start
        return "" if start is None else str(start)

    def greeted(self, *, recovered: bool) -> None:
        """Note that the server has greeted us."""
        self.connected = True
        self.pause = FIRST_PAUSE
        self.record.connects += 1
        self.record.recovered += recovered

    def show(self, read: Callable[[bytes], Shown], text: bytes) -> None:
        """Note an envelope."""
        self.record.now.hear((read, text))

    def resync(self, reason: str, cursor: str) -> None:
        """Reload the list, as told; it must not be older than ``cursor``'s epoch."""
        self.record.resync(reason)
        self._reload(Cursor.parse(cursor).epoch)

    def complain(self, what: str) -> None:
        """Record a violation by the server, once."""
        if len(self.record.complaints) < 3:
            self.record.complaints.append(what[:300])

    def _reload(self, epoch: str | None = None) -> None:
        if self._reloading is not None:
            self._reloading.cancel()
        self._reloading = asyncio.create_task(self._load(epoch))

    async def _loaded(self) -> None:
        while self._reloading is not None and not self._reloading.done():
            await asyncio.wait({self._reloading})

    async def _load(self, epoch: str | None) -> None:
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, LinkLost):
                start, view = await self._list()
                if epoch in (None, start.epoch):
                    self.record.loaded(start, view)
                    return
            await asyncio.sleep(self._rng.uniform(0.1, 0.4))
            if not self.connected:  # while connected, the list comes from the replica that we listen to
                self._here = self._rng.choice(self._gateways)

    async def _list(self) -> tuple[Cursor, View]:
        query = {"limit": LARGEST_PAGE, **self.record.wanted.fields()}
        headers = {} if self.token is None else bearer(self.token)
        async with self._session.get(f"{self._here}/api/orders", params=query, headers=headers) as response:
            if response.status != 200:
                raise LinkLost(f"the list: {response.status}")
            if "Link" in response.headers:
                self.complain("more orders than one page holds: the audit is not what it is meant to be")
            try:
                start = Cursor.parse(response.headers.get("Stream-Cursor", ""))
            except InvalidCursor as error:
                raise LinkLost("a list without a cursor") from error
            rows = await response.json()
        read = {row["_id"]: content(row) for row in rows}
        return start, {key: order for key, order in read.items() if order is not None}
