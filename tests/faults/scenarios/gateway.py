"""Gateways are killed, frozen, replaced, starved; their clients move to others, and no other client notices."""

import asyncio
import resource
import socket
from pathlib import Path

from tests.faults.audit import Audit
from tests.faults.scenario import scenario
from tests.faults.stack import Shape
from tests.service_process import ServiceProcess
from tests.unit.websocket_client import handshake

_SSE = b"GET /api/orders/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
_WEBSOCKET = handshake()
_JOIN = b"\x81\x82\0\0\0\x0040"
_PONG = b"\x81\x81\0\0\0\x003"
_MOST_GROWTH = 4 << 20


@scenario("G1", shape=Shape(jwt=True))
async def kill_a_gateway(audit: Audit) -> None:
    """SIGKILL of a gateway: its clients resume at the others, exactly where they were."""
    for gateway in audit.stack.gateways[:2]:
        await gateway.kill()
        audit.injected()
        await audit.expect_recovery("kill -9")
        await gateway.start()
        await audit.run_for(2)


@scenario("G10")
async def kill_all_gateways_at_once(audit: Audit) -> None:
    """Every gateway is killed and restarted: all clients reconnect at the same time, to empty rings."""
    await asyncio.gather(*(gateway.kill() for gateway in audit.stack.gateways))
    audit.injected(3)
    await audit.run_for(2)
    await asyncio.gather(*(gateway.start() for gateway in audit.stack.gateways))
    await audit.expect_recovery("start of all")
    await audit.run_for(2)


@scenario("G3")
async def restart_all_gateways_one_by_one(audit: Audit) -> None:
    """A rolling restart by SIGTERM: connections are closed spread over the drain time, and no client resyncs."""
    for gateway in audit.stack.gateways:
        await gateway.restart()
        audit.injected()
        await audit.expect_recovery("SIGTERM and start")


@scenario("G2")
async def freeze_a_gateway(audit: Audit) -> None:
    """SIGSTOP of a gateway for 12 s: its clients leave it, and after SIGCONT it reads the changes that it missed."""
    gateway = audit.stack.gateways[0]
    gateway.pause()
    audit.injected()
    await audit.run_for(12)
    gateway.resume()
    await audit.expect_recovery("SIGCONT", within=4.0)
    await audit.run_for(3)


_STRICT = {"CLIENT_BUFFER_BYTES": "65536", "CLIENT_STALL_SECONDS": "4"}


@scenario("G4 G5", shape=Shape(gateway_settings={**_STRICT, "RING_EVENTS": "1000"}))
async def stall_clients(audit: Audit) -> None:
    """Sixty clients that never read, a third of them answering pings blindly: cut off, and memory stays bounded."""
    gateways = audit.stack.gateways
    await audit.run_for(5)  # the gateways' rings are full by then, and grow no more
    before = [_memory(gateway) for gateway in gateways]
    stalled = [_stalled(gateway, number) for gateway in gateways for number in range(20)]
    audit.injected(len(stalled))
    try:
        for _ in range(10):
            await audit.run_for(2)
            for client in stalled[::3]:
                _send(client, _PONG)
    finally:
        for client in stalled:
            client.close()
    await audit.expect_recovery("60 stalled clients", within=2.0)
    for gateway, was in zip(gateways, before, strict=True):
        if _memory(gateway) - was > _MOST_GROWTH:
            audit.report(f"gateway {gateway.port} grew from {was >> 20} to {_memory(gateway) >> 20} MiB")


@scenario("G11")
async def run_out_of_file_descriptors(audit: Audit) -> None:
    """A gateway has hardly any file descriptors left, and two hundred clients connect: it survives, and recovers."""
    gateway = audit.stack.gateways[0]
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (_open_files(gateway) + 5, limits[1]))
    audit.injected()
    connecting = [_stalled(gateway, number) for number in range(200)]
    await audit.run_for(5)
    for client in connecting:
        client.close()
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limits)
    await audit.expect_recovery("the limit is lifted", within=5.0)
    await audit.run_for(1)


def _stalled(gateway: ServiceProcess, number: int) -> socket.socket:
    """Open a connection that subscribes to everything and is never read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", gateway.port))
    loop = asyncio.get_running_loop()
    request = _SSE if number % 3 == 2 else _WEBSOCKET
    loop.call_later(0.5, _send, client, request)
    if request is _WEBSOCKET:
        loop.call_later(1.0, _send, client, _JOIN)
    return client


def _send(client: socket.socket, data: bytes) -> None:
    try:
        client.send(data)
    except OSError:
        return  # cut off already, as it should be


def _open_files(gateway: ServiceProcess) -> int:
    return len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))


def _memory(gateway: ServiceProcess) -> int:
    """Return the most memory that the process has held at any time, in bytes."""
    status = Path(f"/proc/{gateway.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


SCENARIOS = [
    kill_a_gateway,
    kill_all_gateways_at_once,
    restart_all_gateways_one_by_one,
    freeze_a_gateway,
    stall_clients,
    run_out_of_file_descriptors,
]
