"""Runs an attacker as a process of its own, so that what it does with its own time hurts nobody in the test."""

import json
from collections import Counter

from tests.abuse.attackers.attacker import Attacker, Tally, Target
from tests.forked_process import run_forked
from tests.service_process import ROOT
from tests.waiting import HANGS


async def attack(attacker: Attacker, target: Target, seconds: float) -> Tally:
    """Let it attack for so long; return what became of it."""
    arguments = [attacker.name, f"--since={target.since}", f"--port={target.port}"]
    arguments += [f"--watcher-port={target.watcher_port}", f"--seconds={seconds}", f"--seed={target.seed}"]
    ended = await run_forked("tests.abuse.attackers", *arguments, cwd=ROOT, environment={}, seconds=seconds + HANGS)
    if ended.code != 0:
        raise RuntimeError(f"{attacker.name} broke: {ended.output[-2000:]}")
    return Counter(json.loads(next(line for line in reversed(ended.output.splitlines()) if line.startswith("{"))))
