"""One attacker as a process of its own: `python -m tests.abuse.attackers NAME --port …`.

Prints "attacking" when it begins, and what became of it in the end, which is SIGTERM at the latest.
"""

import argparse
import asyncio
import json
import resource
import signal
from collections import Counter

import uvloop

from tests.abuse.attackers import EVERY
from tests.abuse.attackers.attacker import HOST, SOURCE, Attacker, Tally, Target
from tests.waiting import cancel_all


async def attack(attacker: Attacker, target: Target, seconds: float) -> Tally:
    """Attack for so long."""
    tally: Tally = Counter()
    attacking = asyncio.ensure_future(attacker.run(target, tally))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, attacking.cancel)
    print("attacking", flush=True)  # noqa: T201 - for whoever waits for it
    done, _ = await asyncio.wait([attacking], timeout=seconds)
    await cancel_all(attacking)
    for each in done:
        if not each.cancelled():
            each.result()  # an attacker goes on for ever: one that has ended is broken
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.abuse.attackers", description=__doc__)
    parser.add_argument("attacker", choices=EVERY, metavar="NAME", help=", ".join(EVERY))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--source", default=SOURCE, help="the address to connect from")
    parser.add_argument("--watcher-port", type=int, default=0)
    parser.add_argument("--since", default="", help="a cursor older than what Redis holds")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    target = Target(asked.port, asked.watcher_port, asked.since, asked.seed, asked.host, asked.source)
    print(json.dumps(uvloop.run(attack(EVERY[asked.attacker], target, asked.seconds))))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
