"""A program that has nothing to do with ours, on the same machine: `spin`, or `serve HOST`, which prints its port."""

import asyncio
import sys
from time import perf_counter

WORK_SECONDS = 0.0004  # for each request, about as much as a gateway needs to open a stream
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        _work(WORK_SECONDS)
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(_RESPONSE)
        self._transport.close()


def _work(seconds: float) -> None:
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


async def _serve(host: str) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, host, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["spin"]:
            print(flush=True)
            while True:
                _work(1.0)
        case ["serve", host]:
            asyncio.run(_serve(host))
