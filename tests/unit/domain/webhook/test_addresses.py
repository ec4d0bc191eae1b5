"""The guard: every address of every refused network, in every spelling."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.webhook.addresses import (
    METADATA,
    RANGES_V4,
    RANGES_V6,
    Network,
    judge,
    judge_address,
    judge_before_lookup,
    parse_networks,
)
from postloop.domain.webhook.target import Address, Target, parse_target

NAMED = parse_target("https://hooks.example/")
# Requirements, written out a second time on purpose.
REFUSED_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
]
REFUSED_V6 = [
    "::/8",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "4000::/3",
    "8000::/1",
]


def members(network: Network) -> st.SearchStrategy[Address]:
    """Any address of a network, its first and last ones more often."""
    first, last = int(network[0]), int(network[-1])
    kind = IPv4Address if isinstance(network, IPv4Network) else IPv6Address
    numbers = st.sampled_from([first, last]) | st.integers(first, last)
    return numbers.map(kind)


# IPv4-mapped addresses stand for IPv4 and are tested as such.
MAPPED = IPv6Network("::ffff:0:0/96")
refused_v4 = st.sampled_from(REFUSED_V4).flatmap(lambda text: members(ip_network(text)))
refused_v6 = st.sampled_from(REFUSED_V6).flatmap(lambda text: members(ip_network(text)))
refused = refused_v4 | refused_v6.filter(lambda address: address not in MAPPED)


def spellings(address: IPv4Address) -> st.SearchStrategy[str]:
    """All that the C library takes for an IPv4 address, and forms that turn into one."""
    number, parts = int(address), [*address.packed]

    def written(value: int) -> st.SearchStrategy[str]:
        return st.sampled_from([str(value), f"0{value:o}", f"0x{value:x}", f"0X{value:X}", f"{value:#06x}"])

    def dotted(count: int) -> st.SearchStrategy[str]:
        rest = int.from_bytes(bytes(parts[count:]), "big")
        values = [*parts[:count], rest] if count < 4 else parts
        return st.tuples(*map(written, values)).map(".".join)

    plain = st.sampled_from([0, 1, 2, 3]).flatmap(dotted)
    wide = plain.map(lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isalnum() else c for c in text))
    dots = plain.map(lambda text: text.replace(".", "。"))
    trailing = plain.map(lambda text: text + ".")
    quoted = st.just(quote(str(address)).replace("1", "%31"))
    zeros = st.just(".".join(f"{part:03d}" for part in parts))
    return st.one_of(plain, wide, dots, trailing, zeros, st.just(str(number)), quoted)


def embedded(address: IPv4Address) -> st.SearchStrategy[IPv6Address]:
    """The forms in which IPv6 carries an IPv4 address."""
    number = int(address)
    shifted = [
        (0xFFFF << 32) | number,  # mapped
        number,  # compatible
        (0xFFFF << 48) | number,  # SIIT
        (0x0064_FF9B << 96) | number,  # NAT64
        (0x0064_FF9B_0001 << 80) | number,  # local NAT64
        (0x2002 << 112) | (number << 80) | 1,  # 6to4
        (0x2001 << 112) | (number << 64),  # Teredo, the server
        (0x2001 << 112) | (number ^ 0xFFFF_FFFF),  # Teredo, the client
        (0x2606_4700 << 96) | (0x5EFE << 32) | number,  # ISATAP under a public prefix
        (0x2606_4700 << 96) | (0x0200_5EFE << 32) | number,
        (0xFE80 << 112) | (0x5EFE << 32) | number,
    ]
    return st.sampled_from(shifted).map(IPv6Address)


@given(refused)
def test_every_address_of_every_refused_network_is_refused(address: Address) -> None:
    verdict = judge(NAMED, [address])
    assert not verdict.is_allowed
    assert verdict.text.startswith("the host leads to ")
    assert str(address) not in verdict.text


@given(refused_v4.flatmap(embedded))
def test_a_refused_ipv4_address_is_refused_inside_ipv6_too(address: IPv6Address) -> None:
    assert not judge(NAMED, [address]).is_allowed


@given(refused_v4.flatmap(spellings))
def test_no_spelling_of_a_refused_ipv4_address_gets_through(host: str) -> None:
    try:
        target = parse_target(f"https://{host}/")
    except DataError:
        return
    assert target.literal is not None
    assert not judge_before_lookup(target).is_allowed


@given(refused_v6, st.booleans(), st.booleans())
def test_no_spelling_of_a_refused_ipv6_address_gets_through(
    address: IPv6Address, is_exploded: bool, is_upper: bool
) -> None:
    text = address.exploded if is_exploded else str(address)
    target = parse_target(f"https://[{text.upper() if is_upper else text}]/")
    mapped = address.ipv4_mapped
    assert not judge_before_lookup(target).is_allowed or (mapped and judge_address(mapped).is_allowed)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_any_host_that_the_system_takes_for_a_number_is_canonical_or_refused(address: IPv4Address) -> None:
    for host in (f"0x{int(address):x}", str(int(address)), f"{address.packed[0]}.{int(address) & 0xFFFFFF}"):
        assert socket.inet_aton(host) == address.packed
        with pytest.raises(DataError, match="four decimal numbers"):
            parse_target(f"https://{host}/")


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1",
        "2001:200::1",
        "2003::1", "3fff:1000::1", "::ffff:8.8.8.8",
    ],
)  # fmt: skip
def test_the_neighbours_of_refused_networks_are_not_refused(text: str) -> None:
    assert judge(NAMED, [ip_address(text)]).is_allowed


@given(
    st.lists(st.just(ip_address("8.8.8.8")), max_size=4),
    refused,
    st.lists(st.just(ip_address("1.1.1.1")), max_size=4),
)
def test_one_refused_answer_of_several_refuses_all(
    before: list[Address], bad: Address, after: list[Address]
) -> None:
    assert not judge(NAMED, [*before, bad, *after]).is_allowed


def test_a_host_without_an_address_is_refused() -> None:
    assert judge(NAMED, []).code == "no_address"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("http://hooks.example/", "not_https", id="http"),
        pytest.param("http://hooks.example:443/", "not_https", id="http-on-443"),
        pytest.param("https://hooks.example:22/", "port_refused", id="ssh"),
        pytest.param("https://hooks.example:8443/", "", id="8443"),
        pytest.param("https://hooks.example/", "", id="443"),
        pytest.param("https://8.8.8.8/", "", id="literal"),
        pytest.param("http://8.8.8.8/", "not_https", id="literal-http"),
        pytest.param("https://127.0.0.1/", "loopback", id="literal-loopback"),
        pytest.param("https://[::ffff:127.0.0.1]/", "loopback", id="mapped"),
        pytest.param("https://169.254.169.254/", "metadata_service", id="metadata"),
    ],
)
def test_only_https_on_its_ports_goes_to_the_internet(url: str, code: str) -> None:
    assert judge_before_lookup(parse_target(url)).code == code


TEN = parse_networks(["10.1.0.0/16"])


@given(
    members(ip_network("10.1.0.0/16")), st.sampled_from(["http://h.example:8080/", "https://h.example:22/"])
)
def test_inside_an_opened_network_scheme_and_port_are_free(address: Address, url: str) -> None:
    assert judge(parse_target(url), [address], allowed=TEN).is_allowed
    mapped = IPv6Address((0xFFFF << 32) | int(address))
    assert judge(parse_target(url), [mapped], allowed=TEN).is_allowed


@given(refused.filter(lambda address: address not in TEN[0]))
def test_an_opened_network_opens_no_other(address: Address) -> None:
    assert not judge(NAMED, [address], allowed=TEN).is_allowed


def test_an_opened_network_does_not_open_http_to_the_internet() -> None:
    target = parse_target("http://hooks.example/")
    assert judge_before_lookup(target, allowed=TEN).is_allowed  # it may lead inside; the lookup tells
    assert judge(target, [ip_address("8.8.8.8")], allowed=TEN).code == "not_https"
    assert judge(target, [ip_address("10.1.0.1"), ip_address("8.8.8.8")], allowed=TEN).code == "not_https"


@pytest.mark.parametrize("address", METADATA, ids=str)
def test_the_credentials_of_a_cloud_are_never_opened(address: Address) -> None:
    wide = tuple(r.network for r in (*RANGES_V4, *RANGES_V6))
    assert judge(NAMED, [address], allowed=wide).code == "metadata_service"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("10.1.0.1/16", "bad_network", id="bits-after-the-prefix"),
        pytest.param("ten", "bad_network", id="no-network"),
        pytest.param("0.0.0.0/0", "not_private", id="everything"),
        pytest.param("::/0", "not_private", id="everything-v6"),
        pytest.param("8.8.8.0/24", "not_private", id="public"),
        pytest.param("10.0.0.0/7", "not_private", id="more-than-private"),
        pytest.param("169.254.0.0/16", "not_private", id="link-local"),
        pytest.param("fe80::/10", "not_private", id="link-local-v6"),
        pytest.param("224.0.0.0/4", "not_private", id="multicast"),
    ],
)
def test_only_private_networks_can_be_opened(text: str, code: str) -> None:
    with pytest.raises(DataError) as wrong:
        parse_networks([text])
    assert wrong.value.code == code


def test_private_networks_and_single_addresses_can_be_opened() -> None:
    texts = ["127.0.0.0/8", "192.168.7.0/24", "10.0.0.5", "fd12::/16", "::1/128", "100.64.0.0/10"]
    assert [str(network) for network in parse_networks(texts)] == [
        "127.0.0.0/8", "192.168.7.0/24", "10.0.0.5/32", "fd12::/16", "::1/128", "100.64.0.0/10",
    ]  # fmt: skip


def test_a_literal_inside_an_opened_network_needs_no_https() -> None:
    target: Target = parse_target("http://127.0.0.1:8900/hook")
    assert judge_before_lookup(target, allowed=parse_networks(["127.0.0.0/8"])).is_allowed
    assert not judge_before_lookup(target, allowed=TEN).is_allowed
