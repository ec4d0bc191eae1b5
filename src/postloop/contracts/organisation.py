"""Which part of a domain one organisation owns, by the Public Suffix List that the library brings along.

Nothing is fetched: the list is as old as the installed release, which appears whenever the list changes.
"""

from functools import cache, lru_cache
from typing import Final

from publicsuffixlist import PublicSuffixList

from postloop.domain.providers import CORPORATE, OTHER, mailbox_provider

_CACHE_SIZE: Final = 16_384
_MAX_DOMAIN_CHARS: Final = 253
"""RFC 1035 section 2.3.4 without the root: no domain is longer."""


@lru_cache(maxsize=_CACHE_SIZE)
def organisational_domain(domain: str) -> str | None:
    """Return the registered domain of a canonical (lower-case, ASCII) domain: `b.example.co.uk` -> `example.co.uk`.

    None where nobody owns it: a public suffix itself (`co.uk`), an address literal, anything malformed. Suffixes
    that companies opened for their customers count (`ada.github.io` is Ada's); a name under an unknown top-level
    domain (`mail.corp.internal`) belongs to whoever owns the last two labels. This is the organisational domain
    of RFC 7489 section 3.2.
    """
    if len(domain) > _MAX_DOMAIN_CHARS or domain.startswith("[") or domain.endswith("."):
        return None
    found: str | None = _suffixes().privatesuffix(domain)
    return found


def mailbox_provider_of(domain: str) -> str:
    """Return the provider of a canonical recipient domain, also where only the domain above it is known.

    Providers give names below their own to regions and brands (`nyc.rr.com`, `t7.ezweb.ne.jp`); nobody has a
    mailbox at a bare public suffix, which is `other`.
    """
    provider = mailbox_provider(domain)
    if provider != CORPORATE:
        return provider
    owner = organisational_domain(domain)
    if owner is None:
        return OTHER
    return provider if owner == domain else mailbox_provider(owner)


@cache
def _suffixes() -> PublicSuffixList:
    """Return the list; reading it takes a tenth of a second, so that it waits for the first question."""
    return PublicSuffixList()
