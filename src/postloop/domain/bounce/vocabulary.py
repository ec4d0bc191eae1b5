"""Words of replies as signs, one character a word, so that a phrase is a short regular expression over signs."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Final

from postloop.domain.bounce import text

UNKNOWN_WORD: Final = "_"
SIGNS: Final = frozenset({text.ADDRESS, text.HOST, text.IP})
_FIRST_CHARACTER: Final = 0x4E00  # a long run of characters without case or a meaning to `re`
# Left out, so that "the mailbox is full" and "mailbox full" are the same two words.
_IDLE: Final = "an the is are be been being has have had does do did this that these those its it"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Every word that a rule names, with its sign.

    Attributes:
        signs: Word -> sign; an idle word has the empty sign.
        list_names: Words that count inside the name of a host too: zen.spamhaus.org.
        spaced: Puts blanks around words of languages that are written without blanks.
        without_transcript: Cuts, from signs, what the sending server wrote around the other one's words.
    """

    signs: Mapping[str, str]
    list_names: frozenset[str]
    spaced: Callable[[str], str]
    without_transcript: Callable[[str], str]

    def encode(self, plain: str) -> str:
        """Return a folded reply as signs; a word that no rule names is `UNKNOWN_WORD`."""
        if not plain.isascii() and text.is_wide(plain):
            plain = self.spaced(plain)
        known = self.signs.get
        found: list[str] = []
        for token in text.find_tokens(plain):
            sign = known(token)
            if sign is None:
                sign = UNKNOWN_WORD if token.isalpha() else self._compound(token)
            found.append(sign)
        return self.without_transcript("".join(found))

    def _compound(self, token: str) -> str:
        """Return the signs of a token with digits, dots or hyphens in it."""
        sign = text.sign_of(token)
        if sign is not None:
            return sign
        parts = text.split_token(token)
        if "." in token and text.is_host(token):
            return text.HOST + "".join(self.signs[part] for part in parts if part in self.list_names)
        known = self.signs.get
        return "".join(known(part, UNKNOWN_WORD) for part in parts if part and not part.isdecimal())


def build_signs(words: Iterable[str]) -> dict[str, str]:
    """Return a sign for each folded word; an underscore in a word stands for a blank that may be missing."""
    signs = dict.fromkeys((*_IDLE.split(), *ascii_lowercase), "")
    signs |= {sign: sign for sign in SIGNS} | dict.fromkeys(text.ENDS, text.END)
    ordered = sorted(set(words) - SIGNS - signs.keys())
    signs |= {word.replace("_", ""): chr(_FIRST_CHARACTER + number) for number, word in enumerate(ordered)}
    return signs


def spacer(words: Iterable[str]) -> Callable[[str], str]:
    """Return a function that puts blanks around those of the words that are written without."""
    wide = sorted((word for word in words if text.is_wide(word)), key=len, reverse=True)
    if not wide:
        return str
    search = re.compile("|".join(re.escape(word).replace("_", r"\s?") for word in wide))
    return lambda plain: search.sub(lambda found: f" {''.join(found[0].split())} ", plain)
