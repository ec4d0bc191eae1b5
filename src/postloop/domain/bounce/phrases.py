"""The small language that rules are written in, compiled to regular expressions over signs.

A phrase is a row of elements in the order of the reply:

    user            this word
    user|mailbox    one of these words
    MAILBOX         a word of this family, or a macro (words.toml)
    word?           may be missing (one word or family)
    ..   ..5        at most three (five) words between, within the same sentence
    ~    ~9         the same, across ends of sentences
    @  #  %         a mail address, a host name, an IPv4 address
    ^  $            nothing but unknown words before, behind
    *               anything; for a rule that only its conditions restrict
    &               and, anywhere in the reply
    !               and not, anywhere in the reply
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from postloop.domain.bounce.text import END, fold
from postloop.domain.bounce.vocabulary import SIGNS, UNKNOWN_WORD

_GAP: Final = re.compile(r"(\.\.|~)(\d*)").fullmatch
_DEFAULT_GAP: Final = "3"
_NO_WORD: Final = ("&", "!", "^", "$", "*")
_IDLE_EDGE: Final = f"[{re.escape(END)}{UNKNOWN_WORD}]*"


class PhraseError(ValueError):
    """A phrase of the rule files is not in the language; a mistake of whoever wrote the rule."""


@dataclass(frozen=True, slots=True)
class Element:
    """A piece of a phrase: its regular expression, and words of which one must be there (None: none must)."""

    pattern: str
    words: frozenset[str] | None


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


class Grammar:
    """Families and macros of the vocabulary, and what phrases mean with them."""

    def __init__(self, families: Mapping[str, frozenset[str]], macros: Mapping[str, list[str]]) -> None:
        self._families = families
        self._macros = macros

    def words_of(self, phrase: str) -> Iterator[str]:
        """Yield every word that a phrase names itself, folded."""
        for part in phrase.split():
            if part in _NO_WORD or _GAP(part):
                continue
            for name in part.removesuffix("?").split("|"):
                if name in self._macros:
                    for alternative in self._macros[name]:
                        yield from self.words_of(alternative)
                elif name not in self._families:
                    yield _word(name)

    def compile(self, phrase: str, signs: Mapping[str, str]) -> Phrase:
        """Return a phrase over the signs of a vocabulary.

        Raises:
            PhraseError: The phrase is not in the language.
        """
        positive, *negative = phrase.split(" ! ")
        present = [self._sequence(clause, signs) for clause in positive.split(" & ")]
        absent = [self._sequence(clause, signs) for clause in negative]
        needs = {element.words for sequence in present for element in sequence if element.words}
        if not needs and phrase != "*":
            raise PhraseError(f"{phrase!r} names no word")
        return Phrase(_patterns(present), _patterns(absent), tuple(sorted(needs, key=len)))

    def _sequence(self, clause: str, signs: Mapping[str, str]) -> list[Element]:
        return [self._element(part, signs) for part in clause.split()]

    def _element(self, part: str, signs: Mapping[str, str]) -> Element:
        if part in _NO_WORD:
            return Element({"^": f"^{_IDLE_EDGE}", "$": f"{_IDLE_EDGE}$", "*": ""}[part], None)
        gap = _GAP(part)
        if gap:
            between = f"[^{re.escape(END)}]" if gap[1] == ".." else "."
            return Element(f"{between}{{0,{gap[2] or _DEFAULT_GAP}}}?", None)
        name = part.removesuffix("?")
        element = self._choice(name, signs)
        return Element(f"(?:{element.pattern})?", None) if name != part else element

    def _choice(self, part: str, signs: Mapping[str, str]) -> Element:
        """Return an element for alternatives: words, families and macros."""
        words: set[str] = set()
        macros: list[Element] = []
        for name in part.split("|"):
            if name in self._macros:
                macros += [self._row(alternative, signs) for alternative in self._macros[name]]
            else:
                words |= self._families.get(name) or {_word(name)}
        chosen = frozenset(signs[word.replace("_", "")] for word in words) - {""}
        if not chosen and not macros:
            return Element("", None)  # an idle word
        patterns = [_one_of(chosen)] if chosen else []
        pattern = "|".join(patterns + [macro.pattern for macro in macros])
        needed = chosen.union(*(macro.words for macro in macros if macro.words))
        return Element(f"(?:{pattern})" if macros else pattern, needed)

    def _row(self, phrase: str, signs: Mapping[str, str]) -> Element:
        """Return one alternative of a macro; its rarest family stands for the words that it needs."""
        sequence = self._sequence(phrase, signs)
        words = min((element.words for element in sequence if element.words), key=len)
        return Element("".join(element.pattern for element in sequence), words)


def _patterns(sequences: Iterable[list[Element]]) -> tuple[str, ...]:
    return tuple("".join(element.pattern for element in sequence) for sequence in sequences)


def _one_of(signs: frozenset[str]) -> str:
    return re.escape(next(iter(signs))) if len(signs) == 1 else f"[{''.join(sorted(signs))}]"


def _word(name: str) -> str:
    """Return a word in the spelling of the vocabulary; a family that does not exist is an error, not a word."""
    if name.isupper() and name not in SIGNS:
        raise PhraseError(f"there is no family or macro {name}")
    return fold(name)
