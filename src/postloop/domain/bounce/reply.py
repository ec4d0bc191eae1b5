"""A bounce made ready for the rules."""

from collections.abc import Iterator
from typing import NamedTuple

from postloop.domain.bounce.evidence import Evidence, evidence_of
from postloop.domain.bounce.model import Bounce
from postloop.domain.bounce.rule import Rule
from postloop.domain.bounce.rulebook import Rulebook
from postloop.domain.bounce.text import examined, first_reply, fold


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
    whole = fold(examined(bounce.diagnostic or ""))
    folded = first_reply(whole)
    provider = book.providers.name_of(host=bounce.remote_host or "", domain=bounce.recipient_domain or "")
    signs = book.cut(book.vocabulary.encode(folded))
    candidates = book.table.candidates(signs) & (book.general | book.of_provider.get(provider, 0))
    return Reply(book, evidence_of(bounce, folded, whole[len(folded) :]), provider, signs, candidates)
