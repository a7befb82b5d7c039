"""Runs the Python library for the scenarios: one JSON command per line comes in, one JSON line per event goes out.

Commands: ``{"do": "open", "url", "filter", "window", "transports", "asks"}``, which ends what was opened before;
``{"do": "use", "transport"}``; ``{"do": "token", "token"}``; ``{"do": "next"}``; and ``{"do": "write", "id"}`` with
``create``, ``update`` and ``fields``, or ``delete``. Lines: ``{"opened"}``; with ``asks``, ``{"wants": "token"}``
whenever one is needed; ``{"view": {"rows", "ids", "cursor", "phase", "reason", "pending", "transport"}}`` after
everything that changes the view; ``{"place"}``, where another window can begin, or ``{"no_place"}``, why it is not
known; and ``{"written": id}`` with ``order`` or ``refused``, or ``ended``.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from typing import Any

from live_orders import AccessEnded, LiveOrders, LiveOrdersError, Refused, View, Window


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def write(orders: LiveOrders, asked: dict[str, Any]) -> None:
    try:
        if "create" in asked:
            done = await orders.create(asked["create"])
        elif "update" in asked:
            done = await orders.update(asked["update"], asked["fields"])
        else:
            done = await orders.delete(asked["delete"])
    except Refused as error:
        say(written=asked["id"], refused=error.status)
    except AccessEnded as error:
        say(written=asked["id"], ended=error.reason)
    else:
        say(written=asked["id"], order=done)


class Driver:
    """What is opened, and the tokens for it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._tasks: set[asyncio.Task[None]] = set()
        self._orders: LiveOrders
        self._tokens: asyncio.Queue[str] = asyncio.Queue()

    async def do(self, asked: dict[str, Any]) -> None:
        match asked["do"]:
            case "open":
                await self._open(asked)
            case "token":
                self._tokens.put_nowait(asked["token"])
            case "use":
                self._orders.use(asked["transport"])
            case "next":
                try:
                    say(place=await self._orders.next_place())
                except LiveOrdersError as error:
                    say(no_place=str(error))
            case "write":
                task = asyncio.create_task(write(self._orders, asked))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _token(self) -> str:
        say(wants="token")
        given = await self._tokens.get()
        if not given:
            raise ValueError("none today")
        return given

    async def _open(self, asked: dict[str, Any]) -> None:
        await self._stack.aclose()
        say(opened=True)
        window = Window(**asked["window"]) if asked.get("window") else None
        opened = LiveOrders(
            asked["url"],
            filter=asked.get("filter"),
            window=window,
            token=self._token if asked.get("asks") else None,
            transports=asked["transports"],
        )
        orders = self._orders = await self._stack.enter_async_context(opened)

        def show(view: View) -> None:
            rows = dict(view.rows)
            shown = {"rows": rows, "ids": [*rows], "cursor": orders.cursor, "transport": orders.transport}
            state = {"phase": view.status.phase, "reason": view.status.reason}
            say(view={**shown, **state, "pending": [each.state for each in orders.pending]})

        orders.subscribe(show)


async def main() -> None:
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with AsyncExitStack() as stack:
        driver = Driver(stack)
        async for line in reader:
            await driver.do(json.loads(line))


asyncio.run(main())
