"""The modules of the page that know no DOM have tests in their own language."""

import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent / "unit"


def test_the_pages_pure_modules_pass_their_own_tests() -> None:
    files = sorted(FOLDER.glob("*.test.js"))
    done = subprocess.run(["node", "--test", *files], capture_output=True, text=True, timeout=100, check=False)
    assert files
    assert done.returncode == 0, done.stdout + done.stderr
