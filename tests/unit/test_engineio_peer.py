"""The client's address, from the connection itself or from trusted proxies."""

from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from services.gateway.edge.incidents import IncidentKind
from services.gateway.edge.peer import Peers, account_of
from services.gateway.edge.registry import NotAdmitted, Registry

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.7"], "203.0.113.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, evil"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_only_trusted_proxies_are_believed(remote: str, forwarded: list[str], address: str) -> None:
    request = make_mocked_request("GET", "/", headers=[("X-Forwarded-For", part) for part in forwarded])
    assert Peers(PROXIES).address(request.clone(remote=remote)) == address
    assert Peers().address(request.clone(remote=remote)) == remote


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("1.1.1.1:1, 203.0.113.7:4711 ,10.0.0.2:80", "203.0.113.7"),
    ],
)
def test_ports_and_brackets_of_proxies_are_understood(forwarded: str, address: str) -> None:
    incidents: list[IncidentKind] = []
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}).clone(remote="10.0.0.1")
    assert Peers(PROXIES, incidents.append).address(request) == address
    assert incidents == []


@pytest.mark.parametrize(
    "forwarded", ["unknown", "_hidden", "203.0.113.7:", "203.0.113.7:a", "[203.0.113.7", "999.1.1.1"]
)
def test_an_unreadable_entry_is_counted_each_time_and_logged_once(forwarded: str) -> None:
    incidents: list[IncidentKind] = []
    peers = Peers(PROXIES, incidents.append)
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}).clone(remote="10.0.0.1")
    with capture_logs() as lines:
        assert [peers.address(request), peers.address(request)] == ["10.0.0.1", "10.0.0.1"]
    assert incidents == [IncidentKind.UNREADABLE_ADDRESS] * 2
    assert [(line["log_level"], line["entry"]) for line in lines] == [("warning", forwarded)]


@pytest.mark.parametrize(
    ("remote", "said", "scheme"),
    [
        ("10.0.0.1", ["https"], "https"),
        ("10.0.0.1", ["HTTP"], "http"),
        ("10.0.0.1", ["wss"], "https"),
        ("10.0.0.1", ["https, https"], "https"),
        ("10.0.0.1", ["https, http"], None),
        ("10.0.0.1", ["https", "http"], None),
        ("10.0.0.1", ["gopher"], None),
        ("10.0.0.1", [], None),
        ("203.0.113.1", ["https"], None),
    ],
)
def test_the_scheme_is_what_trusted_proxies_agree_on(remote: str, said: list[str], scheme: str | None) -> None:
    request = make_mocked_request("GET", "/", headers=[("X-Forwarded-Proto", part) for part in said])
    assert Peers(PROXIES).scheme(request.clone(remote=remote)) == scheme


@pytest.mark.parametrize(
    ("address", "account"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_ipv6_client_counts_as_its_network(address: str, account: str) -> None:
    assert account_of(address) == account


def test_all_addresses_of_an_ipv6_network_share_its_places() -> None:
    registry = Registry(100, 2)
    registry.enter("2001:db8::1")
    registry.enter("2001:db8::2")
    with pytest.raises(NotAdmitted):
        registry.enter("2001:db8::3")
    registry.enter("2001:db8:0:1::3")
    registry.leave("2001:db8::2")
    registry.enter("2001:db8::4")
