"""The URL of an endpoint, taken apart once: what is judged, resolved, connected to and sent is this one reading.

Two readers of one URL that disagree are how a request gets past a guard (GHSA-qwrf-gfpj-qvj6: `[example.com]`
was a literal for one and a name for the other). So whatever has more than one reading is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

from postloop.domain.errors import DataError

Address = IPv4Address | IPv6Address

MAX_URL_CHARS: Final = 2_048
MAX_HOST_CHARS: Final = 253
MAX_LABEL_CHARS: Final = 63
MAX_PORT: Final = 65_535
TLS_PORTS: Final = (443, 8443)

_split: Final = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?]+)(?P<path>/[^?]*)?(?P<query>\?.*)?", re.IGNORECASE | re.ASCII
).fullmatch
_authority: Final = re.compile(
    r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?"
).fullmatch
_is_name: Final = re.compile(
    rf"(?:[a-z0-9_](?:[a-z0-9_-]{{0,{MAX_LABEL_CHARS - 2}}}[a-z0-9_])?)"
    rf"(?:\.[a-z0-9_](?:[a-z0-9_-]{{0,{MAX_LABEL_CHARS - 2}}}[a-z0-9_])?)*"
).fullmatch
# What the C library takes for an IPv4 address: a last label of digits or 0x and hexadecimal digits.
_ends_in_number: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.DOTALL).fullmatch
_FORBIDDEN_CHARS: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff\ud800-\udfff]")
# IDNA 2003 (all that the standard library knows) and 2008 lead to different hosts where these stand, RFC 5894.
_AMBIGUOUS_IN_NAMES: Final = re.compile("[\u00df\u03c2\u200c\u200d]")
_KEPT_IN_PATHS: Final = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook goes.

    Attributes:
        host: A name in ASCII and lower case, or the one spelling of an address; IPv6 without brackets.
        port: Also where the URL names none.
        is_tls: Whether the scheme is https.
        path: As it stands in the request line, with the query; begins with /.
        literal: The address where the URL holds one instead of a name.
    """

    host: str
    port: int
    is_tls: bool
    path: str
    literal: Address | None = None

    @property
    def authority(self) -> str:
        """Host and port as they stand in the URL and in the header Host: brackets around IPv6, no usual port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The one spelling of the URL."""
        return f"{'https' if self.is_tls else 'http'}://{self.authority}{self.path}"

    @property
    def origin(self) -> str:
        """The URL without its path."""
        return self.url[: -len(self.path)]


def parse_target(url: str) -> Target:
    """Return where a URL leads. Whether a request may go there is `addresses.judge`'s to say.

    Raises:
        DataError: `url_too_long`, `url_chars`, `url_fragment`, `url_form`, `url_userinfo`, `url_port`,
            `host_zone`, `host_spelling`, `host_idna`, `host_form`. The field is `url`. No text shows the URL: it may
            hold a token.
    """
    if len(url) > MAX_URL_CHARS:
        raise _refused("url_too_long", f"the URL has more than {MAX_URL_CHARS} characters: {len(url)}")
    if _FORBIDDEN_CHARS.search(url):
        raise _refused("url_chars", "the URL holds a blank, a control character or a backslash")
    if "#" in url:
        raise _refused("url_fragment", "the URL has a fragment (#...), which is never sent")
    parts = _split(url)
    if parts is None:
        raise _refused("url_form", "the URL must look like https://HOST/PATH")
    host, port = _host_and_port(parts["authority"])
    is_tls = parts["scheme"].lower() == "https"
    literal = _literal(host)
    return Target(
        host=str(literal) if literal else host,
        port=port or (443 if is_tls else 80),
        is_tls=is_tls,
        path=quote((parts["path"] or "/") + (parts["query"] or ""), safe=_KEPT_IN_PATHS),
        literal=literal,
    )


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _refused("url_userinfo", "the URL must not hold a user name: set the header Authorization")
    parts = _authority(authority)
    if parts is None:
        raise _refused("url_form", "what stands between // and / must be HOST or HOST:PORT")
    port = None if parts["port"] is None else int(parts["port"])
    if port is not None and not 1 <= port <= MAX_PORT:
        raise _refused("url_port", f"a port is 1 to {MAX_PORT}: {port}")
    if parts["literal"] is not None:
        return _ipv6(parts["literal"]), port
    return _ascii_name(parts["name"]), port


def _ipv6(text: str) -> str:
    if "%" in text:
        raise _refused("host_zone", "an address with a zone (%...) means this machine's own network")
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise _refused("host_form", "only an IPv6 address may stand in brackets") from None


def _ascii_name(text: str) -> str:
    """Return a name as DNS holds it: IDNA, lower case, without the dot at its end."""
    if _AMBIGUOUS_IN_NAMES.search(text):
        raise _refused(
            "host_idna", "the host holds a character that IDNA reads in two ways: write its xn-- form"
        )
    try:
        # Also makes ASCII of digits in other forms (１２７, ①): the checks of numbers come after it.
        name = text.encode("idna").decode("ascii").lower() if not text.isascii() else text.lower()
    except UnicodeError:
        raise _refused("host_idna", "the host is no valid international name: write its xn-- form") from None
    name = name.removesuffix(".")
    if len(name) > MAX_HOST_CHARS or not _is_name(name):
        raise _refused("host_form", "the host is neither a name nor an address")
    return name


def _literal(host: str) -> Address | None:
    """Return the address that a host is, None for a name.

    IPv4 in any other than the usual spelling (`0x7f.1`, `2130706433`, `0177.0.0.1`) is refused and not
    translated: readers disagree on them (octal or decimal?), and no honest URL needs them.
    """
    if ":" in host:
        return IPv6Address(host)
    if not _ends_in_number(host):
        return None
    try:
        return IPv4Address(host)  # four decimal numbers without leading zeros, nothing else
    except AddressValueError:
        raise _refused("host_spelling", "an IPv4 address is four decimal numbers, like 192.0.2.1") from None


def _refused(code: str, text: str) -> DataError:
    return DataError(code, "url", text)
