"""All scenarios, in the order in which they are run."""

from tests.faults.scenario import Scenario
from tests.faults.scenarios import gateway, redis, watcher

SCENARIOS: list[Scenario] = [*watcher.SCENARIOS, *redis.SCENARIOS, *gateway.SCENARIOS]
