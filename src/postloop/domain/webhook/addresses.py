"""Which addresses a webhook may go to: the guard against requests into somebody's network.

An explicit list, because `ipaddress.is_global` changes between releases of Python and lets 6to4, NAT64 and
multicast through. Judged at create, update, test and at every attempt, against the address that is connected to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.webhook.target import TLS_PORTS, Address, Target

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go out, and if not, why.

    Attributes:
        code: For programs, never changes its meaning; empty: it may.
        text: One sentence; empty: it may. Names no address: who asks may be looking for them.
    """

    code: str = ""
    text: str = ""

    @property
    def is_allowed(self) -> bool:
        return not self.code


ALLOWED: Final = Verdict()


@dataclass(frozen=True, slots=True)
class Range:
    """A network that no webhook goes to.

    Attributes:
        code: Of the verdict.
        what: Completes "the host leads to ...".
        is_private: Whether an operator may open it, or a part of it, for an endpoint in their own network.
    """

    network: Network
    code: str
    what: str
    is_private: bool = False


def _range(network: str, code: str, what: str, *, is_private: bool = False) -> Range:
    return Range(ip_network(network), code, what, is_private)


_PRIVATE: Final = "a private network (RFC 1918)"
_SHARED: Final = "the shared network of a carrier or cloud (RFC 6598)"
_DOCUMENTATION: Final = "a network that exists in documentation only"
_BENCHMARK: Final = "a network for benchmarks (RFC 2544)"
_NAT64: Final = "an IPv4 address behind a translator (NAT64)"

# Cloud machines answer there with credentials. Never to be opened, whatever range holds them.
METADATA: Final[tuple[Address, ...]] = (
    IPv4Address("169.254.169.254"),  # AWS, Azure, Google, Oracle, DigitalOcean, Hetzner ...
    IPv4Address("169.254.170.2"),  # AWS ECS: credentials of a task
    IPv4Address("169.254.170.23"),  # AWS EKS: credentials of a pod
    IPv4Address("100.100.100.200"),  # Alibaba
    IPv4Address("168.63.129.16"),  # Azure's own services, a public address that only its machines reach
    IPv4Address("192.0.0.192"),  # Oracle, older machines
    IPv6Address("fd00:ec2::254"),  # AWS
    IPv6Address("fd00:ec2::23"),  # AWS EKS
    IPv6Address("fd20:ce::254"),  # Google
)

# The union of what Svix, Hook0, Smokescreen and Convoy refuse; the IANA special-purpose registries name the sources.
RANGES_V4: Final = (
    _range("0.0.0.0/8", "this_network", "this machine (the unspecified network)"),
    _range("10.0.0.0/8", "private_network", _PRIVATE, is_private=True),
    _range("100.64.0.0/10", "shared_network", _SHARED, is_private=True),
    _range("127.0.0.0/8", "loopback", "this machine (loopback)", is_private=True),
    _range("169.254.0.0/16", "link_local", "the link of this machine (RFC 3927)"),
    _range("172.16.0.0/12", "private_network", _PRIVATE, is_private=True),
    _range("192.0.0.0/24", "special_purpose", "a network of protocols (RFC 6890)"),
    _range("192.0.2.0/24", "documentation", _DOCUMENTATION),
    _range("192.88.99.0/24", "embedded_ipv4", "a 6to4 relay (RFC 7526)"),
    _range("192.168.0.0/16", "private_network", _PRIVATE, is_private=True),
    _range("198.18.0.0/15", "benchmark", _BENCHMARK, is_private=True),
    _range("198.51.100.0/24", "documentation", _DOCUMENTATION),
    _range("203.0.113.0/24", "documentation", _DOCUMENTATION),
    _range("224.0.0.0/4", "multicast", "a multicast group"),
    _range("240.0.0.0/4", "reserved", "a reserved network, or all hosts at once"),
)
# Everything outside 2000::/3 is refused anyway; these say why, and what inside it is refused.
RANGES_V6: Final = (
    _range("::/128", "this_network", "this machine (the unspecified address)"),
    _range("::1/128", "loopback", "this machine (loopback)", is_private=True),
    _range("::/8", "embedded_ipv4", "an IPv4 address in the form of IPv6, or a reserved network"),
    _range("64:ff9b::/96", "embedded_ipv4", _NAT64),
    _range("64:ff9b:1::/48", "embedded_ipv4", _NAT64),
    _range("100::/64", "special_purpose", "a network that discards everything (RFC 6666)"),
    _range("2001::/32", "embedded_ipv4", "an IPv4 address behind a tunnel (Teredo)"),
    _range("2001::/23", "special_purpose", "a network of protocols (RFC 2928)"),
    _range("2001:db8::/32", "documentation", _DOCUMENTATION),
    _range("2002::/16", "embedded_ipv4", "an IPv4 address behind a tunnel (6to4)"),
    _range("3fff::/20", "documentation", _DOCUMENTATION),
    _range("5f00::/16", "special_purpose", "segment routing (RFC 9602)"),
    _range("fc00::/7", "private_network", "a private network (RFC 4193)", is_private=True),
    _range("fe80::/10", "link_local", "the link of this machine"),
    _range("fec0::/10", "private_network", "a private network (site-local, RFC 3879)"),
    _range("ff00::/8", "multicast", "a multicast group"),
)
_UNICAST: Final = IPv6Network("2000::/3")
# RFC 5214 section 6.1: the lower half of an ISATAP address is this, with or without the universal bit, and IPv4.
_ISATAP: Final = (0x0000_5EFE, 0x0200_5EFE)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the private networks that an operator opens for an endpoint.

    Raises:
        DataError: `bad_network`: no CIDR, or bits after the prefix; `not_private`: not wholly inside a range that may
            be opened (public addresses need no opening, and no range opens the link or multicast).
    """
    return tuple(_private_network(text) for text in texts)


def judge(target: Target, addresses: Sequence[Address], *, allowed: Sequence[Network] = ()) -> Verdict:
    """Return whether a request to a target may be sent when its host has these addresses.

    One refused address refuses all: a name with a public and a private address is either an attack or a mistake,
    and which of the two is connected to would be chance. An address inside `allowed` lifts the rules for
    scheme and port as well, for itself only.

    Args:
        addresses: All that the name resolved to; for a literal it alone. None at all is refused (`no_address`).
    """
    if not addresses:
        return Verdict("no_address", "the host has no address")
    for address in addresses:
        verdict = _judge_one(target, address, allowed)
        if not verdict.is_allowed:
            return verdict
    return ALLOWED


def judge_before_lookup(target: Target, *, allowed: Sequence[Network] = ()) -> Verdict:
    """Return what can be said of a target before its host is looked up; a refusal is final.

    Names with plain http or another port wait for their address where there are allowed networks.
    """
    if target.literal:
        return judge(target, [target.literal], allowed=allowed)
    return ALLOWED if allowed else judge_scheme(target)


def judge_scheme(target: Target) -> Verdict:
    """Return whether scheme and port are those of the public internet."""
    if not target.is_tls:
        return Verdict("not_https", "the URL must begin with https://")
    if target.port not in TLS_PORTS:
        ports = " or ".join(map(str, TLS_PORTS))
        return Verdict("port_refused", f"the port must be {ports}: {target.port}")
    return ALLOWED


def judge_address(address: Address, *, allowed: Sequence[Network] = ()) -> Verdict:
    """Return whether an address may be connected to, whatever the URL says."""
    address = _unmapped(address)
    if address in METADATA:
        return _refusal("metadata_service", "a service that hands out a cloud's credentials")
    if _is_in(address, allowed):
        return ALLOWED
    if isinstance(address, IPv4Address):
        return next((_refusal(r.code, r.what) for r in RANGES_V4 if address in r.network), ALLOWED)
    found = next((_refusal(r.code, r.what) for r in RANGES_V6 if address in r.network), None)
    if found:
        return found
    if address not in _UNICAST:
        return _refusal("reserved", "a network that is not in use on the internet")
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return _refusal("embedded_ipv4", "an IPv4 address behind a tunnel (ISATAP)")
    return ALLOWED


def read_address(text: str) -> Address:
    """Return the address in a text of the operating system's; one with a zone is an address of the link.

    Raises:
        ValueError: It is no address.
    """
    return ip_address(text.partition("%")[0])


def _judge_one(target: Target, address: Address, allowed: Sequence[Network]) -> Verdict:
    verdict = judge_address(address, allowed=allowed)
    if not verdict.is_allowed or _is_in(_unmapped(address), allowed):
        return verdict
    return judge_scheme(target)


def _refusal(code: str, what: str) -> Verdict:
    return Verdict(code, f"the host leads to {what}")


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address that `::ffff:a.b.c.d` connects to."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)  # False for the other version of IP


def _private_network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise DataError(
            "bad_network", "allowed_networks", f"a network looks like 10.1.0.0/16: {text!r}"
        ) from None
    if not any(r.is_private and _holds(r.network, network) for r in (*RANGES_V4, *RANGES_V6)):
        raise DataError("not_private", "allowed_networks", f"only private networks are opened: {text!r}")
    return network


def _holds(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)
