"""The bench attacks with attackers that there are."""

from bench.measure.bystander import ATTACKERS, QUICK
from tests.abuse.attackers import EVERY


def test_every_attacker_of_the_bench_is_one_of_the_abuse_suite() -> None:
    assert {*ATTACKERS, *QUICK} <= EVERY.keys()
