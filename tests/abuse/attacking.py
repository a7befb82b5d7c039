"""Runs an attacker as a process of its own, so that what it does with its own time hurts nobody in the test."""

import asyncio
import json
import sys
from collections import Counter

from tests.abuse.attackers.attacker import Attacker, Tally, Target
from tests.service_process import ROOT

_STARTING = 30.0  # seconds that it may take to start and to end


async def attack(attacker: Attacker, target: Target, seconds: float) -> Tally:
    """Let it attack for so long; return what became of it."""
    command = [sys.executable, "-m", "tests.abuse.attackers", attacker.name, f"--since={target.since}"]
    command += [f"--port={target.port}", f"--watcher-port={target.watcher_port}"]
    command += [f"--seconds={seconds}", f"--seed={target.seed}"]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, cwd=ROOT)
    try:
        async with asyncio.timeout(seconds + _STARTING):
            out, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise RuntimeError(f"{attacker.name} broke: {errors.decode(errors='replace')[-2000:]}")
    return Counter(json.loads(out.splitlines()[-1]))
