"""Answers DNS queries as Docker's own server does for a compose project: the addresses of a service's containers."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

_HEADER = struct.Struct("!HHHHHH")
_ANSWER = struct.Struct("!HHHIH4s")
_RESPONSE, _NO_SUCH_NAME, _A, _IN = 0x8180, 0x8183, 1, 1
_TTL = 600  # Docker's value; the load balancer overrides it

Addresses = Callable[[str], Sequence[str]]


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, _, count, *_ = _HEADER.unpack_from(data)
        labels, at = [], _HEADER.size
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = data[_HEADER.size : at + 5]
        found = self._addresses(".".join(labels))
        flags = _RESPONSE if found else _NO_SUCH_NAME
        answers = [_ANSWER.pack(0xC00C, _A, _IN, _TTL, 4, IPv4Address(one).packed) for one in found]
        self._transport.sendto(
            _HEADER.pack(number, flags, count, len(answers), 0, 0) + question + b"".join(answers), addr
        )


@asynccontextmanager
async def name_server(addresses: Addresses) -> AsyncIterator[int]:
    """Serve meanwhile on a free UDP port of 127.0.0.1, and give the port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _NameServer(addresses), local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
