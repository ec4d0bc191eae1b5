"""The canonical form of ordinary recipient addresses, without a library.

Nearly every address in real traffic is plain ASCII with a dot-atom local part and an ordinary host name. They
are decided here in about a microsecond; everything else (quotes, other scripts, Punycode, address literals,
anything wrong) is left to `postloop.contracts.address`. Wherever this module answers, that one agrees.
"""

import re
from functools import lru_cache
from typing import Final

MAX_ADDRESS_BYTES: Final = 254
"""RFC 5321 section 4.5.3.1.3 with RFC 3696 erratum 1690: a path of 256 octets less its angle brackets."""
_DOMAIN_CACHE_SIZE: Final = 16_384
_REDACTION_STARTS: Final = "rRuUxX[(<* \t\r\n"

# Nothing, or no letter of a longer word, follows: `redacted@example.org`, `[redacted]`, `xxxxxxx@example.org`.
_is_redaction: Final = re.compile(r"[(\[<]?(?:redacted|x{5,}|\*+)(?![a-z0-9])|undisclosed[- ]recipient").match
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"  # atext of RFC 5322 section 3.2.3
DOT_ATOM: Final = rf"{_ATOM}(?:\.{_ATOM})*"
"""The pattern of an ordinary local part, for other engines of regular expressions too."""
_is_dot_atom: Final = re.compile(DOT_ATOM).fullmatch
# Begins where a word begins: from every letter of it, a word of 2,000 letters took a tenth of a second.
_ADDRESS: Final = re.compile(r"(?<![^\s<>\"'(),;:])[^\s<>\"'(),;:]+@[^\s<>\"'(),;]+")
_HIDDEN: Final = "<address>"
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_is_host_name: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}").fullmatch


def fast_canonical(text: str) -> str | None:
    """Return the canonical form of a plain ASCII address, or None if this function cannot decide.

    Canonical is: trimmed, domain in lower case, local part in lower case. None does not mean invalid.
    """
    address = text.strip()
    if len(address) > MAX_ADDRESS_BYTES or not address.isascii():
        return None
    local, at, domain = address.rpartition("@")
    if not at or not _is_dot_atom(local):
        return None
    canonical_domain = plain_domain(domain)
    return None if canonical_domain is None else f"{local.lower()}@{canonical_domain}"


def without_addresses(text: str) -> str:
    """Return a text in which what looks like an address is hidden, for where addresses must not be shown."""
    return _ADDRESS.sub(_HIDDEN, text)


def is_redacted(text: str) -> bool:
    """Return whether a feedback loop blacked the address out (RFC 6590) in a way that can be seen.

    A local part that was replaced by a hash cannot be told from a real one.
    """
    if text[:1] not in _REDACTION_STARTS:  # nearly every address of the recorder's hot path ends here
        return False
    return _is_redaction(text.lstrip()[:32].lower()) is not None


@lru_cache(maxsize=_DOMAIN_CACHE_SIZE)
def plain_domain(domain: str) -> str | None:
    """Return an ordinary host name in lower case, None for every name with a peculiarity."""
    name = domain.lower()
    if not _is_host_name(name):
        return None
    # Two hyphens inside a label may be Punycode or a reserved label (RFC 5890 section 2.3.1).
    # A top-level name ends in a letter: all digits would be an IPv4 address without its brackets.
    return name if "--" not in name and name[-1].isalpha() else None
