"""The small language that rules are written in, compiled to regular expressions over signs.

A phrase is a row of elements in the order of the reply:

    user            this word
    user|mailbox    one of these words
    MAILBOX         a word of this family, or a macro (words.toml); both may stand in an alternative
    word?           may be missing
    ..   ..5        at most three (five) words between, within the same sentence
    @  #  %  _      a mail address, a host name, an IPv4 address, a word that no rule knows
    ^  $            nothing but unknown words, names and numbers before, behind
    *               anything; for a rule that only its conditions restrict
    &               and, anywhere in the reply
    !               and not, anywhere in the reply
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from postloop.domain.bounce.text import END, fold
from postloop.domain.bounce.vocabulary import SIGNS, key_of

_is_gap: Final = re.compile(r"\.\.(\d*)").fullmatch
_DEFAULT_GAP: Final = "3"
_IDLE_EDGE: Final = f"[{re.escape(END)}{''.join(sorted(SIGNS))}]*"
_ANCHORS: Final = {"^": f"^{_IDLE_EDGE}", "$": f"{_IDLE_EDGE}$", "*": ""}
_NO_WORDS: Final = frozenset({"&", "!", *_ANCHORS})


class PhraseError(ValueError):
    """A phrase of the rule files is not in the language; a mistake of whoever wrote the rule."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What names in phrases stand for.

    Attributes:
        families: Name -> folded words.
        macros: Name -> phrases of which one must be found.
    """

    families: Mapping[str, frozenset[str]]
    macros: Mapping[str, list[str]]

    def words_of(self, phrase: str) -> Iterator[str]:
        """Yield every word that a phrase names itself, folded."""
        for part in phrase.split():
            if part in _NO_WORDS or _is_gap(part):
                continue
            for name in part.removesuffix("?").split("|"):
                if name in self.macros:
                    for alternative in self.macros[name]:
                        yield from self.words_of(alternative)
                elif name not in self.families:
                    yield _word(name)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A compiled phrase.

    Attributes:
        present: Regular expressions over signs that all must be found.
        absent: Those that must not be found.
        needs: Sets of signs; the phrase can only be found where each has one in the reply.
    """

    present: tuple[str, ...]
    absent: tuple[str, ...]
    needs: tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class _Element:
    """A piece of a phrase: its regular expression, and signs of which one must be there (none: nothing must)."""

    pattern: str
    needs: frozenset[str] = frozenset()


class PhraseCompiler:
    """Compiles phrases over the signs of a vocabulary."""

    def __init__(self, lexicon: Lexicon, signs: Mapping[str, str]) -> None:
        self._lexicon = lexicon
        self._signs = signs
        self._choice = lru_cache(maxsize=None)(self._new_choice)  # families and macros come again and again

    def compile(self, phrase: str) -> Phrase:
        """Return a compiled phrase.

        Raises:
            PhraseError: The phrase is not in the language.
        """
        positive, *negative = phrase.split(" ! ")
        present = [self._row(clause) for clause in positive.split(" & ")]
        needs = {element.needs for row in present for element in row if element.needs}
        if not needs and phrase != "*":
            raise PhraseError(f"{phrase!r} names no word")
        absent = [self._row(clause) for clause in negative]
        return Phrase(_patterns(present), _patterns(absent), tuple(sorted(needs, key=len)))

    def _row(self, clause: str) -> list[_Element]:
        return [self._element(part) for part in clause.split()]

    def _element(self, part: str) -> _Element:
        if part in _ANCHORS:
            return _Element(_ANCHORS[part])
        gap = _is_gap(part)
        if gap:
            return _Element(f"[^{re.escape(END)}]{{0,{gap[1] or _DEFAULT_GAP}}}?")
        if part.endswith("?"):
            return _Element(f"(?:{self._choice(part[:-1]).pattern})?")
        return self._choice(part)

    def _new_choice(self, part: str) -> _Element:
        """Return an element for alternatives: words, families and macros."""
        signs: set[str] = set()
        rows: list[_Element] = []
        for name in part.split("|"):
            if name in self._lexicon.macros:
                rows += [self._macro_row(phrase) for phrase in self._lexicon.macros[name]]
            else:
                words = self._lexicon.families.get(name) or {_word(name)}
                signs.update(self._signs[key_of(word)] for word in words)
        if "" in signs:
            raise PhraseError(f"{part!r} names a word that is left out of replies")
        chosen = frozenset(signs)
        patterns = ([_one_of(chosen)] if chosen else []) + [row.pattern for row in rows]
        pattern = "|".join(patterns)
        return _Element(f"(?:{pattern})" if rows else pattern, chosen.union(*(row.needs for row in rows)))

    def _macro_row(self, phrase: str) -> _Element:
        """Return one alternative of a macro; its rarest family stands for the words that it needs."""
        row = self._row(phrase)
        return _Element(_pattern(row), min((element.needs for element in row if element.needs), key=len))


def _pattern(row: Iterable[_Element]) -> str:
    return "".join(element.pattern for element in row)


def _patterns(rows: Iterable[list[_Element]]) -> tuple[str, ...]:
    return tuple(_pattern(row) for row in rows)


def _one_of(signs: frozenset[str]) -> str:
    return re.escape(next(iter(signs))) if len(signs) == 1 else f"[{''.join(sorted(signs))}]"


def _word(name: str) -> str:
    """Return a word in the spelling of the vocabulary; a family that does not exist is an error, not a word."""
    if name.isupper() and name not in SIGNS:
        raise PhraseError(f"there is no family or macro {name}")
    return fold(name)
