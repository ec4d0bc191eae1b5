"""Words of replies as signs, one character a word, so that a phrase is a short regular expression over signs."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from string import ascii_lowercase
from typing import Final

from postloop.domain.bounce import text

UNKNOWN_WORD: Final = "_"
_MOST_UNKNOWN: Final = 20_000
_LONGEST_WORD: Final = 30
SIGNS: Final = frozenset({text.ADDRESS, text.HOST, text.IP, UNKNOWN_WORD})
_FIRST_CHARACTER: Final = 0x4E00  # a long run of characters without case or a meaning to `re`
# Left out, so that "the mailbox is full" and "mailbox full" are the same two words.
_IDLE: Final = "an the is are be been being does do did that these those its it"


class _Signs(dict[str, str]):
    """The signs of known words, and of others as they come: no code in Python is run for a word that came before.

    Kept are words only, not names and numbers, of which there is no end; some numbers are there from the start.
    """

    def __init__(self, known: Mapping[str, str], unknown: Callable[[str], str]) -> None:
        super().__init__({**dict.fromkeys(_frequent_numbers(), ""), **known})
        self._unknown = unknown
        self._most = len(self) + _MOST_UNKNOWN

    def __missing__(self, token: str) -> str:
        if not token.isalpha():
            return self._unknown(token)
        if len(token) <= _LONGEST_WORD and len(self) < self._most:
            self[token] = UNKNOWN_WORD
        return UNKNOWN_WORD


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every word that a rule names, with its sign.

    Attributes:
        signs: Word -> sign; an idle word has the empty sign.
        host_words: Words that count inside the name of a host too: zen.spamhaus.org, www.openspf.org.
        spaced: Puts blanks around words of languages that are written without blanks.
    """

    signs: Mapping[str, str]
    host_words: frozenset[str]
    spaced: Callable[[str], str]
    _sign_of: Callable[[str], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sign_of", _Signs(self.signs, self._unknown).__getitem__)

    def encode(self, folded: str) -> str:
        """Return a folded reply as signs; a word that no rule names is `UNKNOWN_WORD`."""
        folded = text.clauses(folded)
        if not folded.isascii() and text.is_wide(folded):
            folded = self.spaced(folded)
        return "".join(map(self._sign_of, text.tokens(folded)))

    def _unknown(self, token: str) -> str:
        """Return the signs of a token that is no word of a rule: a new word, a number, an address, or compound."""
        if token.isalpha():
            return UNKNOWN_WORD
        sign = text.sign_of(token)
        if sign is not None:
            return sign
        # Of "error?ip=192.0.2.1" and "name=example.com" the value counts.
        core = text.without_edges(token).rpartition("=")[2]
        if core == token:
            return self._compound(core)
        sign = self.signs.get(core)
        return self._unknown(core) if sign is None else sign

    def _compound(self, core: str) -> str:
        """Return the signs of a token with digits, dots or hyphens in it."""
        parts = text.split_token(core)
        if "." in core and text.is_host(core):
            if self.host_words.isdisjoint(parts):
                return text.HOST
            return text.HOST + "".join(self.signs[part] for part in parts if part in self.host_words)
        known = self.signs.get
        return "".join(known(part, UNKNOWN_WORD) for part in parts if part and not part.isdecimal())


def key_of(word: str) -> str:
    """Return the key of a folded word of the rules among the signs.

    In languages written without blanks an underscore stands for a blank that may be missing.
    """
    return word.replace("_", "") if text.is_wide(word) else word


def build_vocabulary(words: Iterable[str], *, host_words: frozenset[str]) -> Vocabulary:
    """Return the vocabulary of the folded words of the rules."""
    signs = dict.fromkeys((*_IDLE.split(), *ascii_lowercase), "")
    signs |= {str(code): "" for code in range(200, 600)}  # reply codes, the most frequent numbers
    signs |= {sign: sign for sign in (*SIGNS, text.END)}
    ordered = sorted(set(words) - signs.keys())
    signs |= {key_of(word): chr(_FIRST_CHARACTER + number) for number, word in enumerate(ordered)}
    return Vocabulary(signs, host_words, _spacer(ordered))


def _frequent_numbers() -> Iterator[str]:
    """Yield what else would be found to say nothing only after a longer look."""
    yield from ("-", "=", "..", "...")
    yield from map(str, range(100))
    for status_class, subject, detail in product("245", range(8), range(50)):
        yield f"{status_class}.{subject}.{detail}"


def _spacer(words: Iterable[str]) -> Callable[[str], str]:
    """Return a function that puts blanks around those of the words that are written without."""
    wide = sorted((word for word in words if text.is_wide(word)), key=len, reverse=True)
    if not wide:
        return str
    search = re.compile("|".join(re.escape(word).replace("_", r"\s?") for word in wide))
    return lambda folded: search.sub(lambda found: f" {''.join(found[0].split())} ", folded)
