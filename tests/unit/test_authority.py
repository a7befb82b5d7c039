"""Hosts as requests name them: which are valid, which are equal, and which are ours."""

import pytest

from services.common.authority import Authority, Hosts, is_loopback


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("shop.example", ("shop.example", None)),
        ("SHOP.Example", ("shop.example", None)),
        ("shop.example.", ("shop.example", None)),
        ("shop.example:80", ("shop.example", 80)),
        ("shop.example:", ("shop.example", None)),
        ("shop.example.:8080", ("shop.example", 8080)),
        ("127.0.0.1:3000", ("127.0.0.1", 3000)),
        ("[::1]:3000", ("::1", 3000)),
        ("[::1]", ("::1", None)),
        ("[2001:DB8:0:0:0:0:0:1]", ("2001:db8::1", None)),
        ("[::ffff:127.0.0.1]", ("127.0.0.1", None)),
        ("gateway_1", ("gateway_1", None)),
    ],
)
def test_an_authority_has_one_normal_form(text: str, parsed: tuple[str, int | None]) -> None:
    assert Authority.parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ".",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a@b",
            "user@shop.example",
            "http://a",
            "ä.example",
            "a%2eb",
        ),
        *("a:b", "a:80:80", "a:-1", "a:65536", "a:123456"),
        *("::1", "[::1", "[::1]x", "[a]", "[127.0.0.1.1]", "[::1%25eth0]", "a" * 400),
    ],
)
def test_a_malformed_authority_is_none(text: str) -> None:
    assert Authority.parse(text) is None


def test_a_port_that_is_not_given_is_the_schemes() -> None:
    assert Authority("a", None).port_for("http") == Authority("a", 80).port_for("https") == 80
    assert Authority("a", None).port_for("https") == 443


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("notlocalhost", False),
        ("0.0.0.0", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_loopback_means_this_machine_only(host: str, *, local: bool) -> None:
    assert is_loopback(host) == local


@pytest.mark.parametrize(
    ("listed", "host", "ours"),
    [
        ([], "localhost", True),
        ([], "127.0.0.1", True),
        ([], "203.0.113.7", False),
        ([], "evil.example", False),
        (["shop.example"], "shop.example", True),
        (["Shop.Example."], "shop.example", True),
        (["shop.example"], "localhost", True),
        (["shop.example"], "evil-shop.example", False),
        (["shop.example"], "shop.example.evil.test", False),
        (["shop.example"], "www.shop.example", False),
        (["*.shop.example"], "www.shop.example", True),
        (["*.shop.example"], "shop.example", False),
        (["*.shop.example"], "evilshop.example", False),
        (["[2001:db8::1]"], "2001:db8::1", True),
        (["*"], "evil.example", True),
    ],
)
def test_only_listed_names_and_loopback_are_ours(listed: list[str], host: str, *, ours: bool) -> None:
    assert Hosts(listed).answer_to(host) == ours


def test_addresses_are_ours_where_no_name_can_be_rebound_to_them() -> None:
    hosts = Hosts((), addresses=True)
    assert hosts.answer_to("203.0.113.7")
    assert hosts.answer_to("2001:db8::1")
    assert not hosts.answer_to("evil.example")
