"""What an account may use, by a clock that the test holds, and what several gateways know of it together."""

import math
import re
from collections.abc import Mapping
from ipaddress import ip_network

import pytest

from services.gateway.edge.fair_share import Debit, FairShare, Limit
from services.gateway.edge.incidents import count_nothing
from services.gateway.edge.peer import Peers
from services.gateway.edge.quota import Quota, Standing, Use
from services.gateway.edge.registry import NotAdmitted, Registry
from services.gateway.edge.unsent import Unsent
from services.gateway.engineio.sessions import Sessions
from services.gateway.engineio.settings import EngineSettings

READS = Use.READS


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def share(quota: str = "5/60", clock: Clock | None = None, most: int = 1000) -> FairShare:
    parsed = Quota.parse(quota)
    assert parsed is not None
    return FairShare(dict.fromkeys(Use, Limit(parsed)), clock=clock or Clock(), most=most)


def charged(shared: FairShare, address: str = "203.0.113.7", subject: str = "", amount: int = 1) -> Standing:
    standing = shared.charge(READS, address, subject, amount)
    assert standing is not None
    return standing


def figures(fields: Mapping[str, str]) -> tuple[int, int]:
    match = re.fullmatch(r'"reads";r=(\d+);t=(\d+)', fields["RateLimit"])
    assert match
    return int(match[1]), int(match[2])


@pytest.mark.parametrize(
    ("text", "quota"), [("600/60", (600, 60)), ("1/86400", (1, 86400)), ("0", None), ("off", None)]
)
def test_a_quota_is_so_many_in_so_many_seconds(text: str, quota: tuple[int, int] | None) -> None:
    assert Quota.parse(text) == quota


@pytest.mark.parametrize(
    "text", ["", "600", "600/", "/60", "0/60", "60/0", "-1/60", "1.5/60", "6e2/60", " 6/60", "no", "٦/60"]
)
def test_anything_else_is_no_quota(text: str) -> None:
    with pytest.raises(ValueError, match="600/60"):
        Quota.parse(text)


@pytest.mark.parametrize("quota", ["1/1", "3/60", "5/60", "7/60", "1000/7", "6000/60"])
def test_all_of_it_may_be_used_at_once_and_no_more(quota: str) -> None:
    amount, clock = int(quota.partition("/")[0]), Clock()
    shared = share(quota, clock)
    assert [charged(shared).remaining for _ in range(amount)] == list(range(amount - 1, -1, -1))
    for _ in range(3):  # a refusal uses nothing
        assert not charged(shared).is_allowed
    clock.now += int(quota.partition("/")[2])
    assert all(charged(shared).is_allowed for _ in range(amount))
    assert not charged(shared).is_allowed


def test_many_at_once_are_used_together_or_not_at_all() -> None:
    clock = Clock()
    shared = share("5/60", clock)
    assert charged(shared, amount=3).is_allowed
    assert not charged(shared, amount=3).is_allowed
    assert charged(shared, amount=2).remaining == 0
    assert charged(shared, amount=3).wait == pytest.approx(36)  # until three have come back
    clock.now += 36
    assert charged(shared, amount=3).is_allowed


def test_more_than_all_may_be_used_where_nothing_is_and_takes_longer_to_come_back() -> None:
    clock = Clock()
    shared = share("5/60", clock)
    first = charged(shared, amount=10)
    assert first.is_allowed
    assert first.remaining == 0
    assert first.wait == pytest.approx(72)
    clock.now += 71
    assert not charged(shared).is_allowed
    clock.now += 1
    assert charged(shared).is_allowed
    assert charged(shared, amount=10).wait == pytest.approx(60)


@pytest.mark.parametrize("quota", ["1/1", "3/60", "5/60", "7/60", "1000/7", "2/59"])
def test_what_a_client_is_told_is_true(quota: str) -> None:
    """It may use ``r`` and no more within ``t``, save what rounding to seconds hides; and after `Retry-After` one."""
    for used in range(int(quota.partition("/")[0])):
        clock = Clock()
        shared = share(quota, clock)
        for _ in range(used):
            charged(shared)
        fields = charged(shared).fields()
        remaining, window = figures(fields)
        amount, _, seconds = quota.partition("/")
        assert fields["RateLimit-Policy"] == f'"reads";q={amount};w={seconds}'
        assert "Retry-After" not in fields
        assert window >= 1
        assert sum(charged(shared).is_allowed for _ in range(remaining + 3)) == remaining
        refused = charged(shared).fields()
        assert figures(refused) == (0, int(refused["Retry-After"]))
        each = int(seconds) / int(amount)
        clock.now += int(refused["Retry-After"])
        assert charged(shared).is_allowed
        clock.now += -1 - each if each >= 1 else 0
        assert each < 1 or not charged(shared).is_allowed


def test_it_comes_back_evenly() -> None:
    clock = Clock()
    shared = share("5/60", clock)
    for _ in range(5):
        charged(shared)
    allowed = 0
    for _ in range(600):
        clock.now += 1.0
        allowed += charged(shared).is_allowed
    assert allowed == 50


def test_clients_uses_and_subjects_do_not_touch_each_other() -> None:
    shared = share("1/60")
    assert charged(shared).is_allowed
    assert not charged(shared).is_allowed
    assert charged(shared, "203.0.113.8").is_allowed
    assert charged(shared, subject="ada").is_allowed
    assert charged(shared, subject="203.0.113.7").is_allowed
    assert not charged(shared, "203.0.113.9", subject="ada").is_allowed  # wherever she comes from
    writing = shared.charge(Use.WRITES, "203.0.113.7")
    assert writing is not None
    assert writing.is_allowed


def test_an_ipv6_network_of_64_bits_is_one_client() -> None:
    shared = share("2/60")
    assert charged(shared, "2001:db8::1").is_allowed
    assert charged(shared, "2001:db8::ffff:2").is_allowed
    assert not charged(shared, "2001:db8:0:0:3::").is_allowed
    assert charged(shared, "2001:db8:0:1::").is_allowed


def test_the_defaults_spare_this_machine_and_proxies_that_name_nobody_and_what_is_set_does_not() -> None:
    crowds = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3")
    peers = Peers((ip_network("10.0.0.0/8"),))
    for spares in (True, False):
        shared = FairShare({READS: Limit(Quota(1, 60), spares)}, peers.is_crowd)
        for address in crowds:
            assert (shared.charge(READS, address) is None) is spares
        for address in ("203.0.113.7", "2001:db8::1", "11.1.2.3", "", "nonsense"):
            assert shared.charge(READS, address) is not None
        assert shared.charge(READS, "127.0.0.1", "ada") is not None  # a subject is somebody


def test_what_is_given_back_can_be_used_again_and_time_does_not_give_it_twice() -> None:
    clock = Clock()
    shared = share("2/60", clock)
    charged(shared)
    charged(shared)
    shared.give_back(READS, "203.0.113.7")
    assert charged(shared).is_allowed
    assert not charged(shared).is_allowed
    clock.now += 60
    shared.give_back(READS, "203.0.113.7")
    assert [charged(shared).is_allowed for _ in range(3)] == [True, True, False]
    shared.give_back(READS, "198.51.100.1")  # nobody knows it
    assert len(shared) == 1


def test_the_others_are_told_what_is_given_back_unless_time_has_done_it() -> None:
    clock = Clock()
    shared = share("10/60", clock)
    for _ in range(2):
        charged(shared)
    [used] = shared.take_due(10)
    shared.give_back(READS, "203.0.113.7")
    [back] = shared.take_due(10)
    assert used.seconds == pytest.approx(12)
    assert back.seconds == pytest.approx(-6)
    clock.now += 60
    shared.give_back(READS, "203.0.113.7")
    assert shared.take_due(10) == []


def test_few_accounts_are_remembered_and_those_that_were_used_last() -> None:
    clock = Clock()
    shared = share("1/60", clock, most=10)
    for number in range(1000):
        charged(shared, "203.0.113.1", subject="hog")
        charged(shared, f"2001:db8:{number:x}::1")
        assert len(shared) <= 10
        assert len(shared.take_due(100)) <= 10
    assert not charged(shared, subject="hog").is_allowed  # it never left
    clock.now += 60
    for number in range(20):
        charged(shared, f"2001:db8:1:{number:x}::1")
        clock.now += 100
    assert len(shared) <= 2  # those that are whole again need no memory


class Redis:
    """Adds up like the script, by the same clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.whole_at: dict[object, float] = {}

    def exchange(self, shared: FairShare) -> list[Debit]:
        debits = shared.take_due(100)
        debts = []
        for account, seconds in debits:
            self.whole_at[account] = max(self.whole_at.get(account, -math.inf), self.clock()) + seconds
            debts.append(max(0.0, self.whole_at[account] - self.clock()))
        shared.learn(debits, debts)
        return debits


def test_gateways_limit_a_client_together() -> None:
    clock = Clock()
    one, other, redis = share("100/60", clock), share("100/60", clock), Redis(clock)
    for _ in range(100):
        assert charged(one).is_allowed
        redis.exchange(one)
    allowed = 0
    for _ in range(100):
        allowed += charged(other).is_allowed
        redis.exchange(other)
    assert allowed <= 10  # a tenth, before they speak of it
    clock.now += 30
    redis.exchange(one)
    both = sum(charged(each).is_allowed for _ in range(60) for each in (one, other) if redis.exchange(each) is not None)
    assert 40 <= both <= 60


def test_a_client_that_uses_little_costs_the_others_nothing() -> None:
    shared = share("100/60")
    for _ in range(9):
        charged(shared)
    assert shared.take_due(100) == []
    charged(shared)
    [debit] = shared.take_due(100)
    assert debit.seconds == pytest.approx(6.0)
    assert shared.take_due(100) == []


def test_what_time_has_made_good_is_not_told() -> None:
    clock = Clock()
    shared = share("100/60", clock)
    for _ in range(9):
        charged(shared)
    clock.now += 60
    charged(shared)
    [debit] = shared.take_due(100)
    assert debit.seconds == pytest.approx(0.6)


def test_what_could_not_be_told_is_told_later_with_what_came_since() -> None:
    clock = Clock()
    one, other, redis = share("10/60", clock), share("10/60", clock), Redis(clock)
    for each in (one, other):
        for _ in range(10):
            charged(each)
        assert not charged(each).is_allowed
    lost = one.take_due(100)
    one.restore(lost)
    assert redis.exchange(one) == lost
    redis.exchange(other)
    clock.now += 59  # twice the quota was used, so half of it is not back yet
    assert not charged(other).is_allowed
    clock.now += 7
    assert charged(other).is_allowed


def test_a_client_that_left_while_its_token_was_checked_holds_no_place_of_its_subject() -> None:
    registry = Registry(10, 10, 1)
    sessions = Sessions(EngineSettings(), count_nothing, registry, Unsent(1 << 20), share())
    gone = sessions.admit("203.0.113.7")
    sessions.cancel(gone)
    sessions.identified(gone, "ada")
    one = sessions.admit("203.0.113.7")
    sessions.identified(one, "ada")
    sessions.identified(one, "ada")  # it connects once more, and is one client still
    other = sessions.admit("203.0.113.8")
    with pytest.raises(NotAdmitted):
        sessions.identified(other, "ada")
    sessions.identified(other, "bea")
    sessions.identified(one, "eve")  # it has become somebody else's
    sessions.cancel(other)
    sessions.identified(sessions.admit("203.0.113.9"), "ada")
    sessions.cancel(one)
    registry.claim("eve")
    sessions.close()
