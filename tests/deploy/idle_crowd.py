"""Many idle Socket.IO clients of one address, which connect and answer pings: `python -c "$(cat idle_crowd.py)" 900`.

It runs in a container, needs nothing but Python, and prints how many are connected, once a second.
"""

import asyncio
import sys

HOST, PORT = "loadbalancer", 3000
CONNECTING_AT_ONCE = 5
_REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

# No change concerns them, or they would not be idle: each would get all that is written meanwhile.
_CONNECT = '40{"filter":{"customer_name":"nobody"}}'

connected = 0
failed: set[str] = set()


def frame(text: str) -> bytes:
    """Return a masked frame; a mask of zeros leaves the text as it is."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode()


async def live(turn: asyncio.Semaphore) -> None:
    global connected  # noqa: PLW0603 - the program is one function and its counter
    while True:
        counted = False
        try:
            async with turn, asyncio.timeout(20):
                reader, writer = await asyncio.open_connection(HOST, PORT, limit=4096)
                writer.write(_REQUEST)
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 101 " not in head:
                    raise ConnectionError(head.split(b"\r\n")[0].decode())
                await message(reader)  # the handshake of Engine.IO
                writer.write(frame(_CONNECT))
                await message(reader)  # CONNECT
            connected += 1
            counted = True
            while True:
                if await message(reader) == b"2":
                    writer.write(frame("3"))
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            failed.add(f"{type(error).__name__}: {error}"[:100])
            if counted:
                connected -= 1
            await asyncio.sleep(2)


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read one frame."""
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2))
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8))
    body = await reader.readexactly(size)
    if head[0] & 0x0F == 8:
        raise ConnectionError("closed by the server")
    return body


async def main() -> None:
    turn = asyncio.Semaphore(CONNECTING_AT_ONCE)
    async with asyncio.TaskGroup() as clients:
        for _ in range(int(sys.argv[1])):
            clients.create_task(live(turn))
        while True:
            print(connected, *sorted(failed)[:2], sep="\t", flush=True)  # noqa: T201
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
