"""All phrases of all rules, and which of them a reply contains.

Every phrase is one bit of a number; the one that counts first has the lowest. For each sign there are the numbers
of the phrases that need it, so the candidates of a reply are found with a few ORs and ANDs, and only these are
searched for. The time of a verdict hardly depends on the number of rules.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any, Final

from postloop.domain.bounce.phrases import Phrase
from postloop.domain.bounce.rule import Rule

_PLACES: Final = 3
"""How many of the words that a phrase needs choose candidates; more cost more than they spare."""

_Search = Callable[[str], Any]
_Searches = tuple[_Search, list[_Search], list[_Search]]


class PhraseTable:
    """Phrases in the order in which they count, each with the rule that it is for."""

    def __init__(self, entries: Sequence[tuple[Rule, Phrase]]) -> None:
        self._rules = [rule for rule, _ in entries]
        self._phrases = [phrase for _, phrase in entries]
        self._searches: list[_Searches | None] = [None] * len(entries)
        self._free, self._masks = _masks(self._phrases)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule once, in the order in which they count."""
        return tuple(dict.fromkeys(self._rules))

    def candidates(self, signs: str) -> int:
        """Return the bits of the phrases whose needed words are all in a reply."""
        places = reduce(or_, map(self._masks.__getitem__, set(signs)), self._free)
        width = len(self._phrases)
        return places & places >> width & places >> 2 * width

    def found(self, candidates: int, signs: str) -> Iterator[Rule]:
        """Yield the rules whose phrases are in a reply, in the order in which they count."""
        searches = self._searches
        while candidates:
            lowest = candidates & -candidates
            candidates ^= lowest
            number = lowest.bit_length() - 1
            first, others, absent = searches[number] or self._compiled(number)
            if (
                first(signs)
                and (not others or all(search(signs) for search in others))
                and (not absent or not any(search(signs) for search in absent))
            ):
                yield self._rules[number]

    def _compiled(self, number: int) -> _Searches:
        """Compile a phrase when it is first needed: most never are, and all at once would take a second."""
        phrase = self._phrases[number]
        first, *others = _compile_all(phrase.present)
        searches: _Searches = (first, others, _compile_all(phrase.absent))
        self._searches[number] = searches
        return searches


def _compile_all(patterns: Iterable[str]) -> list[_Search]:
    return [re.compile(pattern).search for pattern in patterns]


def _masks(phrases: Sequence[Phrase]) -> tuple[int, dict[str, int]]:
    """Return the bits that need no word at a place, and by sign the bits that need it there.

    One number holds the bits of all places, one place above the other: an OR of it costs less than one for each.
    """
    free, masks = 0, defaultdict[str, int](int)  # a sign that no phrase needs has no bits
    for number, phrase in enumerate(phrases):
        for place in range(_PLACES):
            bit = 1 << place * len(phrases) + number
            if place >= len(phrase.needs):
                free |= bit
                continue
            for sign in phrase.needs[place]:
                masks[sign] |= bit
    return free, masks
