"""What is on a list, in which spellings, and where a name may lead."""

import pytest

from core.env import ConfigurationError
from sandbox.egress.ranges import Ranges
from sandbox.egress.rules import Place, Rules, host_of, place_of
from sandbox.errors import SandboxRefusedError


def place(text: str) -> Place:
    return place_of(text)


@pytest.mark.parametrize(
    ("entry", "asked"),
    [
        ("api.test:443", "api.test:443"),
        ("api.test:443", "API.Test.:443"),
        ("Api.TEST.:443", "api.test:443"),
        ("*.test:443", "a.test:443"),
        ("*.test:443", "b.a.TEST.:443"),
        ("10.0.0.5:5432", "10.0.0.5:5432"),
        ("[fd00::5]:5432", "[FD00:0::5]:5432"),
    ],
)
def test_what_is_listed_is_allowed(entry: str, asked: str) -> None:
    assert Rules([entry]).allow(place(asked))


@pytest.mark.parametrize(
    ("entry", "asked"),
    [
        ("api.test:443", "api.test:80"),
        ("api.test:443", "api.test.evil.test:443"),
        ("api.test:443", "evilapi.test:443"),
        ("api.test:443", "sub.api.test:443"),
        ("*.api.test:443", "api.test:443"),
        ("*.api.test:443", "evilapi.test:443"),
        ("*.api.test:443", "a.api.test:80"),
        ("*.api.test:443", "a.api.test.evil.test:443"),
        ("*.0.0.1.test:443", "127.0.0.1:443"),
        ("api.test:443", "10.0.0.5:443"),
        ("127.0.0.1:80", "[::ffff:127.0.0.1]:80"),
    ],
)
def test_what_is_not_listed_is_not(entry: str, asked: str) -> None:
    assert not Rules([entry]).allow(place(asked))


@pytest.mark.parametrize(
    "text",
    [
        "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.01", "1.2.3.4.5",
        "0x", "999.1.1.1", "", ".", "..", "a..b", ".a", "-a", "a-", "a b", "a/b", "a:b", "::1",
        "[::1", "[127.0.0.1]", "[fe80::1%eth0]", "[::1]]", "a@b", "a%2eb", "ä.test", "a\0", "a\n",
        "x" * 64, ".".join(["abcdefgh"] * 30), "*.a", "*",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(the host|what stands|an address)"):
        host_of(text)


@pytest.mark.parametrize("port", ["", "0", "65536", "99999", "-1", "+443", " 443", "4_43", "٤٤٣"])
def test_a_port_is_a_plain_number(port: str) -> None:
    with pytest.raises(ValueError, match="port"):
        place_of(f"a.test:{port}")


@pytest.mark.parametrize(
    "entry", ["", "a.test", "*:443", "*.*.test:1", "*.10.0.0.1:1", "0.0.0.0:1", "[::]:1",
              "224.0.0.1:1", "255.255.255.255:1", "https://a.test:443", "a.test:443/x", "a.*:1"],
)  # fmt: skip
def test_an_entry_that_cannot_be_held_is_refused(entry: str) -> None:
    with pytest.raises(SandboxRefusedError, match="in the list of hosts cannot be used"):
        Rules([entry])


def test_a_list_has_an_end() -> None:
    with pytest.raises(SandboxRefusedError, match="256 is the most"):
        Rules(f"h{number}.test:1" for number in range(257))


@pytest.mark.parametrize(
    ("entry", "addresses", "why"),
    [
        ("a.test:1", ["8.8.8.8"], ""),
        ("a.test:1", ["8.8.8.8", "2606:4700::1111"], ""),
        ("a.test:1", ["10.0.0.5"], "a private address (10.0.0.5)"),
        ("a.test:1", ["fd00::5", "192.168.1.1"], "a private address (fd00::5)"),
        ("a.test:1", ["8.8.8.8", "10.0.0.5"], "a private address"),
        ("a.test:1", ["10.0.0.5", "127.0.0.1"], "a private address"),
        ("a.test:1", ["127.0.0.1"], "a loopback address"),
        ("a.test:1", ["::1"], "a loopback address"),
        ("a.test:1", ["::ffff:10.0.0.5"], "inside IPv6"),
        ("a.test:1", ["0.0.0.0"], "unspecified"),
        ("a.test:1", ["169.254.169.254"], "metadata"),
        ("a.test:1", ["fd00:ec2::254"], "a private address"),
        ("a.test:1", ["100.100.100.200"], "carrier-grade"),
        ("a.test:1", ["168.63.129.16"], "metadata"),
        ("*.test:1", ["8.8.8.8"], ""),
        ("*.test:1", ["10.0.0.5"], "a private address"),
    ],
)
def test_where_a_name_may_lead(entry: str, addresses: list[str], why: str) -> None:
    told = Rules([entry]).why_not_at(place("a.test:1"), addresses)

    assert (told == "") == (why == "")
    assert why in told


@pytest.mark.parametrize(
    ("net", "addresses", "why"),
    [
        (["a.test:1", "10.0.0.5:1"], ["10.0.0.5"], ""),
        (["a.test:1", "[fd00::5]:1", "10.0.0.5:1"], ["FD00:0::5", "10.0.0.5"], ""),
        (["a.test:1", "127.0.0.1:1"], ["127.0.0.1"], ""),
        (["a.test:1", "169.254.169.254:1"], ["169.254.169.254"], ""),
        (["a.test:1", "10.0.0.5:2"], ["10.0.0.5"], "(10.0.0.5)"),
        (["a.test:1", "10.0.0.5:1"], ["10.0.0.5", "10.0.0.6"], "(10.0.0.6)"),
        (["a.test:1", "10.0.0.5:1"], ["8.8.8.8", "10.0.0.5"], "(10.0.0.5)"),
        (["a.test:1", "10.0.0.5:1"], ["::ffff:10.0.0.5"], "inside IPv6"),
        (["*.test:1", "10.0.0.5:1"], ["10.0.0.5"], "(10.0.0.5)"),
        (["a.test:1", "10.0.0.5:1"], ["nonsense"], "not an IP address"),
    ],
)
def test_a_name_may_lead_to_an_address_that_is_listed_beside_it(
    net: list[str], addresses: list[str], why: str
) -> None:
    told = Rules(net).why_not_at(place("a.test:1"), addresses)

    assert (told == "") == (why == "")
    assert why in told


@pytest.mark.parametrize(
    ("entry", "addresses", "why"),
    [
        ("a.test:1", ["10.20.1.1"], ""),
        ("a.test:1", ["fd12::1", "10.20.1.1"], ""),
        ("a.test:1", ["169.254.170.23"], ""),
        ("a.test:1", ["10.21.0.1"], "(10.21.0.1)"),
        ("a.test:1", ["10.20.1.1", "10.21.0.1"], "(10.21.0.1)"),
        ("a.test:1", ["10.20.1.1", "8.8.8.8"], "(10.20.1.1)"),
        ("a.test:1", ["100.100.100.200"], "carrier-grade"),
        ("a.test:1", ["fd12::1%eth0"], "a link-local address"),
        ("*.test:1", ["10.20.1.1"], "(10.20.1.1)"),
    ],
)
def test_a_name_may_lead_into_a_range_of_the_site(
    entry: str, addresses: list[str], why: str
) -> None:
    listed = ["10.20.0.0/16", "fd12::/32", "100.64.0.0/10", "169.254.170.23"]
    ranges = Ranges.of(listed, setting="SETTING")
    told = Rules([entry]).why_not_at(place("a.test:1"), addresses, ranges=ranges)

    assert (told == "") == (why == "")
    assert why in told


@pytest.mark.parametrize(
    "entry", ["", "10.0.0", "10.0.0.1/8", "0.0.0.0/0", "::/0", "fc00::/6", "db.test", "10.0.0.1:80"]
)
def test_a_range_is_no_more_than_a_private_network(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="SETTING cannot be used") as refused:
        Ranges.of(["10.0.0.0/8", entry], setting="SETTING")

    assert repr(entry) in str(refused.value)


def test_an_address_that_is_listed_is_meant() -> None:
    for address in ("169.254.169.254", "127.0.0.1", "10.0.0.5", "[fd00:ec2::254]"):
        asked = place(f"{address}:80")
        assert Rules([f"{address}:80"]).why_not_at(asked, [asked.host]) == ""
