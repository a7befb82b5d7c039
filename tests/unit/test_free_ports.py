"""Free ports: processes that ask for them at the same time are never given the same."""

import subprocess
import sys

from tests.service_process import ROOT

_ASK = "from services.embedded.ports import free_port\nprint(*[free_port() for _ in range(300)])"


def test_processes_that_ask_at_the_same_time_are_given_different_ports() -> None:
    asking = [
        subprocess.Popen([sys.executable, "-c", _ASK], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    given = [port for process in asking for port in process.communicate(timeout=50)[0].split()]
    assert [process.returncode for process in asking] == [0] * 4
    assert len(set(given)) == 4 * 300
