"""Settings of the server within tests, derived from what the official suites need."""

from dataclasses import replace

from tests.conformance.server import SETTINGS

QUICK = replace(SETTINGS, close_timeout=0.1)  # or each test would wait for clients that never ask again
CALM = replace(QUICK, ping_interval=20, ping_timeout=10)  # on a busy machine half a second is soon over
