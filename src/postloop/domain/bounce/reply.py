"""A bounce made ready for the rules."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from postloop.domain.bounce.evidence import Evidence, evidence_of
from postloop.domain.bounce.model import Bounce
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.rulebook import Rulebook
from postloop.domain.bounce.text import examined, first_reply, fold, unwrapped

_find_url_host: Final = re.compile(r"https?://([a-z0-9.-]{1,253})").search


class Reply(NamedTuple):
    """What is asked of a bounce.

    Attributes:
        provider: Who answered, "" for nobody that a table knows.
        signs: The server's words as signs, without what a report wrote around them.
        candidates: Bits of the phrases that may be in them.
    """

    book: Rulebook
    evidence: Evidence
    provider: str
    signs: str
    candidates: int

    def matching(self, bits: int) -> Iterator[Rule]:
        """Yield the rules, of those with these bits, whose words and conditions hold, first things first."""
        for rule in self.book.table.found(self.candidates & bits, self.signs):
            if rule.fits(self.evidence):
                yield rule


def read_reply(bounce: Bounce, book: Rulebook) -> Reply:
    """Return a bounce made ready for the rules of a book."""
    whole = unwrapped(fold(examined(bounce.diagnostic or "")))
    head = book.head(whole)
    folded = first_reply(whole, head)
    host = bounce.remote_host or _host_of_url(folded)
    provider = book.providers.name_of(host=host, domain=bounce.recipient_domain or "")
    signs = book.cut(book.vocabulary.encode(folded[head:]))
    candidates = book.table.candidates(signs) & (book.general | book.of_provider.get(provider, 0))
    return Reply(book, evidence_of(bounce, folded, whole[len(folded) :]), provider, signs, candidates)


def _host_of_url(folded: str) -> str:
    """Return the host of the page that a reply points to: who wrote the reply, where nothing else says it."""
    found = _find_url_host(folded) if "://" in folded else None
    return found[1] if found else ""
