"""MongoDB and Redis as child processes, for `make run` and the tests. Read `app.py` first."""
