"""MongoDB and Redis as child processes: what `make run` starts and what the tests use. Read `app.py` first."""
