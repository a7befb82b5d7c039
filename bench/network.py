"""A network namespace for the bench, where the rules of the machine's firewall cost nothing."""

import os
import shutil
import subprocess
import sys

_MARK = "BENCH_OWN_NETWORK"
_UP = 'ip link set lo up && exec "$@"'


def is_own() -> bool:
    """Tell whether this program runs in a network namespace of its own."""
    return _MARK in os.environ


def enter() -> None:
    """Restart this program in one; go on without where the system does not allow it, or outside servers are given.

    Once Docker has run, the kernel tracks each connection, on the loopback device too, and in the sender's time: up to
    an eighth of the cost of a delivery.
    """
    outside = os.environ.keys() & {"BENCH_MONGODB_URI", "BENCH_REDIS_URL"}
    if is_own() or outside or shutil.which("unshare") is None or shutil.which("ip") is None:
        return
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    inside = ["unshare", *user, "--net", "sh", "-c", _UP, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[_MARK] = "1"
        os.execvp(inside[0], [*inside, *sys.orig_argv])
