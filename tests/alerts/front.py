"""The project's load balancer in front of one gateway, with limits that a few clients reach."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.deploy.haproxy import HAProxy
from tests.deploy.name_server import name_server

PLACES = 13
_SMALLER = {
    'fd-hard-limit "${LOADBALANCER_DESCRIPTORS}"': f"maxconn {PLACES}",
    "sc0_gpc0_rate ge 2000": "sc0_gpc0_rate ge 100",  # requests of an address, in 6.7 seconds
}


@asynccontextmanager
async def in_front_of(gateway_port: int, folder: Path) -> AsyncIterator[HAProxy]:
    """Run it meanwhile."""
    async with name_server(lambda name: ["127.0.0.1"] if name == "gateway" else []) as resolver_port:
        front = HAProxy(folder=folder, gateway_port=gateway_port, resolver_port=resolver_port, smaller=_SMALLER)
        async with front:
            yield front
