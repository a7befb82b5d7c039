"""The bench's clock for received data: the kernel's, whenever the data is read."""

import asyncio
import sys
import time
from contextlib import closing
from time import perf_counter

import pytest

from bench.load.stamped import StampedReader
from tests.waiting import HANGS

BUSY = 0.05  # seconds without reading
TRIES = 200  # ten seconds at least


@pytest.mark.skipif(sys.platform != "linux", reason="Linux stamps what comes in")
async def test_data_that_has_to_wait_for_its_reader_is_stamped_with_when_it_came() -> None:
    loop, arrived = asyncio.get_running_loop(), asyncio.Queue[tuple[bytes, float]]()
    accepted: asyncio.Future[asyncio.StreamWriter] = loop.create_future()
    async with await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0) as server:
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        sender = await accepted
        with (
            closing(sender),
            closing(transport) as receiving,
            closing(StampedReader(receiving, lambda data, when: arrived.put_nowait((data, when)))),
        ):
            for attempt in range(TRIES):
                sent = perf_counter()
                sender.write(b"%d" % attempt)
                time.sleep(BUSY)  # noqa: ASYNC251 - the loop must not read meanwhile
                free_to_read = perf_counter()
                async with asyncio.timeout(HANGS):
                    data, when = await arrived.get()
                assert data == b"%d" % attempt
                # The kernel's clock is another, which may be corrected a little between its stamp and our reading it.
                assert when > sent - BUSY / 2, "shown too early"
                if when < free_to_read:
                    return
                # It has no stamp: the kernel begins to stamp some time after the option is set.
            pytest.fail("was never stamped")
