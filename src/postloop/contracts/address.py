"""The canonical recipient of any text: fast path, then a bounded cache, then email-validator without DNS."""

import hmac
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from email_validator import validate_email

from postloop.domain.recipient import MAX_ADDRESS_BYTES, fast_canonical, is_redacted

_CACHE_SIZE: Final = 16_384
# Top-level names that the library refuses (IANA special-use domain names). It cannot deliver there; a mail
# platform inside a company can.
_SPECIAL_USE: Final = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


class Recipient(NamedTuple):
    """A recipient as it is compared and stored.

    A malformed address keeps its text exactly as it was given; its domain is what follows the last @ in
    lower case, or "". Feedback about it is real, so it is marked and never refused.
    """

    canonical: str
    domain: str
    valid: bool


def canonical_recipient(text: str) -> Recipient:
    """Return the canonical form of an address; never raises, whatever the text is.

    Valid is what RFC 5321, 6531 and 5890 allow to stand in an envelope: also quoted local parts, address
    literals, names without a dot (`root@localhost`) and special-use names (`user@example.test`), because mail
    inside a company goes there. Deliverability is not asked. An address that a feedback loop blacked out is not
    valid, though it may look like one: nobody can be blocked or unblocked by it.
    """
    if is_redacted(text):
        return malformed(text)
    canonical = fast_canonical(text)
    if canonical is not None:
        return Recipient(canonical, canonical.rpartition("@")[2], True)
    # No valid address is longer, and the library reads a text character by character.
    return malformed(text) if len(text.strip()) > MAX_ADDRESS_BYTES else _by_library(text)


def canonical_text(text: str) -> str:
    """Return `canonical_recipient(text).canonical`, in less time."""
    if not is_redacted(text) and (canonical := fast_canonical(text)) is not None:
        return canonical
    return canonical_recipient(text).canonical


def hashed_recipient(canonical: str, key: bytes) -> str:
    """Return the HMAC-SHA256 of a canonical address in hexadecimal, as hashed blocklists hold it."""
    return hmac.digest(key, canonical.encode("utf-8", "surrogatepass"), "sha256").hex()


def malformed(text: str) -> Recipient:
    """Return the text as given, marked invalid."""
    return Recipient(text, text.rpartition("@")[2].strip().lower() if "@" in text else "", False)


@lru_cache(maxsize=_CACHE_SIZE)
def _by_library(text: str) -> Recipient:
    try:
        local, domain = _split(text.strip())
    except ValueError:  # EmailNotValidError and UnicodeError are both ValueErrors
        return malformed(text)
    return Recipient(f"{local}@{domain}", domain, True)


def _split(address: str) -> tuple[str, str]:
    """Return local part and domain in canonical form; raises ValueError for a malformed address."""
    special = address.rpartition("@")[2].rpartition(".")[2]
    is_special = special.lower() in _SPECIAL_USE
    # The library refuses special-use names by a global list. A stand-in of the same length gets every other
    # check, and the list stays as the program that imports us wants it.
    checked = address[: -len(special)] + "x" * len(special) if is_special else address
    answer = validate_email(
        checked,
        allow_smtputf8=True,
        allow_quoted_local=True,
        allow_domain_literal=True,
        check_deliverability=False,
        globally_deliverable=False,
    )
    domain = answer.ascii_domain
    if is_special:
        domain = domain[: -len(special)] + special.lower()
    # As in the fast path: all digits would be an IPv4 address without its brackets.
    if not domain.startswith("[") and not domain[-1].isalpha():
        raise ValueError("not a host name")
    return unicodedata.normalize("NFC", answer.local_part.lower()), domain
