"""A URL that matches the pattern but is invalid: the service says so in a sentence, and ends."""

import pytest

from tests.conftest import RunService


@pytest.mark.parametrize("service", ["gateway", "watcher"])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"MONGODB_URI": "mongodb://"}, "MONGODB_URI: "),
        ({"MONGODB_URI": "mongodb://host:port/orders"}, "MONGODB_URI: "),
        ({"REDIS_URL": "redis+cluster:///"}, "REDIS_URL: a host is missing"),
        ({"REDIS_URL": "redis://host:port/"}, "REDIS_URL: "),
    ],
    ids=["no host", "no number", "no node", "no port"],
)
async def test_a_wrong_address_ends_the_service_and_is_named(
    run_service: RunService, service: str, settings: dict[str, str], says: str
) -> None:
    process = await run_service(service, settings, wait=False)
    assert await process.wait() == 2
    assert says in process.output
    assert "Traceback" not in process.output
