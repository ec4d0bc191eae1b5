"""Cutting out what a report writes around the words of the server that refused."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from postloop.domain.bounce.phrases import PhraseCompiler
from postloop.domain.bounce.rule_files import Table
from postloop.domain.bounce.text import END

_HEAD: Final = "head"
_LONGEST_HEAD: Final = 120
_MOST_HEADS: Final = 5
_find_code: Final = re.compile(r"(?<!\S)[45]\d\d[ -]").search
_is_code: Final = re.compile(r"[245]\d\d[ -]").match
_has_name: Final = re.compile(r"<?[\w+-]+[.@](?=[\w.@+-]*[a-z])[\w.@+-]*>?,?").fullmatch
_ERRORS: Final = ("exception", "error")
_SHORTEST_REPLY: Final = 3
"""Words that must follow an introduction; a report that ends with one has said all before it."""


def build_head(report: Table) -> Callable[[str], int]:
    """Return a function that tells how long the heads are which relays put before a folded reply, one in the other."""
    verbs = frozenset(report[_HEAD]["says_so"].split())
    words = verbs.union(report[_HEAD]["words"].split())

    def is_head(text: str, *, says: bool) -> bool:
        found = text.split()
        # The first word already tells most replies from heads.
        if not found or not all(word in words or _is_name(word) for word in found):
            return False
        return not says or not verbs.isdisjoint(found) or any(word.endswith(_ERRORS) for word in found)

    def length(folded: str) -> int:
        start = 0
        if folded[:1].isdigit():
            return start  # the reply itself
        for _ in range(_MOST_HEADS):
            end = folded.find(": ", start, start + _LONGEST_HEAD)
            # Two words at least must follow: a report that ends here has said all in its head.
            if end < 0 or folded.find(" ", end + 2) < 0:
                break
            said = folded[start:end]
            if not is_head(said, says=not (start or _is_whose(said, folded, end + 2))):
                break
            start = end + 2
        # "SMTP error code 550 ...": where the reply's code follows, it says that somebody answered.
        if folded[start : max(folded.find(" ", start), start)] in words:
            code = _find_code(folded, start, start + _LONGEST_HEAD)
            if code and is_head(folded[start : code.start()], says=False):
                return code.start()
        return start

    return length


def _is_whose(said: str, folded: str, rest: int) -> bool:
    """Return whether it says whose reply follows, and one does: "<joe@example.com>: 550 ..."."""
    return "@" in said and " " not in said and _is_code(folded, rest) is not None


def _is_name(word: str) -> bool:
    """Return whether a word is the name of a host, of a person, or of a class of a library: it has a dot or an @."""
    return word.endswith(_ERRORS) or _has_name(word) is not None


def frame_phrases(report: Table) -> Iterator[str]:
    """Yield every phrase of report.toml."""
    for name, table in report.items():
        if name != _HEAD:
            for phrases in table.values():
                yield from phrases


def build_cut(report: Table, compiler: PhraseCompiler) -> Callable[[str], str]:
    """Return a function that cuts the frames of report.toml out of a reply in signs."""

    def any_of(table: str) -> str:
        phrases: Iterable[str] = frame_phrases({table: report[table]})
        return "(?:" + "|".join(compiler.compile(phrase).present[0] for phrase in phrases) + ")"

    introduction = re.compile(f"{any_of('introduction')}(?={'.' * _SHORTEST_REPLY})").search
    conclusion = re.compile(any_of("conclusion")).search
    transcript = re.compile(any_of("transcript")).sub

    def cut(reply: str) -> str:
        end = conclusion(reply)
        if end:
            reply = reply[: end.start()]
        begin = introduction(reply)
        if begin:
            reply = END + reply[begin.end() :]
        return transcript(END, reply)

    return cut
