"""A bounce made ready for the rules."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from postloop.domain.bounce.evidence import Evidence, evidence_of
from postloop.domain.bounce.model import Bounce
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.rulebook import Rulebook
from postloop.domain.bounce.text import examined, first_reply, fold, joined, unwrapped

_find_url_host: Final = re.compile(r"https?://([a-z0-9.-]{1,253})").search
# "host mx.example.com[192.0.2.1] said: ..." of Postfix, "host mx.example.com [192.0.2.1]: ..." of Exim.
_find_named_host: Final = re.compile(r"\bhost ([a-z0-9.-]{4,253}) ?\[[0-9a-f.:]+\]").search


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
    whole = joined(unwrapped(fold(examined(bounce.diagnostic or ""))))
    head = book.head(whole)
    folded = first_reply(whole, head)
    host = bounce.remote_host or _host_in(folded)
    provider = book.providers.name_of(host=host, domain=bounce.recipient_domain or "")
    signs = book.cut(book.vocabulary.encode(folded[head:]))
    candidates = book.table.candidates(signs) & (book.general | book.of_provider.get(provider, 0))
    return Reply(book, evidence_of(bounce, folded, whole[len(folded) :]), provider, signs, candidates)


def _host_in(folded: str) -> str:
    """Return the host of the server that a transcript names, else that of the page which a reply points to, or ""."""
    found = _find_named_host(folded) if "host " in folded else None
    if not found and "://" in folded:
        found = _find_url_host(folded)
    return found[1] if found else ""
