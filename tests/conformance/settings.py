"""Settings of the server within tests, derived from the needs of the official suites."""

from dataclasses import replace

from tests.conformance.server import SETTINGS
from tests.waiting import HANGS

QUICK = replace(SETTINGS, close_timeout=0.1)  # or each test would wait for clients that never poll again
CALM = replace(QUICK, ping_interval=2 * HANGS, ping_timeout=10)  # nothing comes about by a heartbeat
