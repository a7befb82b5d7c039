"""All scenarios, in the order in which they are run."""

from tests.faults.scenario import Scenario
from tests.faults.scenarios import (
    database,
    everything,
    gateway,
    history,
    machine,
    redis,
    replica_set,
    strangers,
    watcher,
)

SCENARIOS: list[Scenario] = [
    *watcher.SCENARIOS,
    *redis.SCENARIOS,
    *replica_set.SCENARIOS,
    *history.SCENARIOS,
    *database.SCENARIOS,
    *gateway.SCENARIOS,
    *machine.SCENARIOS,
    *strangers.SCENARIOS,
    *everything.SCENARIOS,
]
