"""Cutting out what a report writes around the words of the server that refused."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from postloop.domain.bounce.phrases import PhraseCompiler
from postloop.domain.bounce.rule_files import Table
from postloop.domain.bounce.text import END

_SHORTEST_REPLY: Final = 3
"""Words that must follow an introduction; a report that ends with one has said all before it."""


def frame_phrases(report: Table) -> Iterator[str]:
    """Yield every phrase of report.toml."""
    for table in report.values():
        for phrases in table.values():
            yield from phrases


def build_cut(report: Table, compiler: PhraseCompiler) -> Callable[[str], str]:
    """Return a function that cuts the frames of report.toml out of a reply in signs."""

    def any_of(table: str) -> str:
        phrases: Iterable[str] = frame_phrases({table: report[table]})
        return "(?:" + "|".join(compiler.compile(phrase).present[0] for phrase in phrases) + ")"

    introduction = re.compile(f"^.*?{any_of('introduction')}(?={'.' * _SHORTEST_REPLY})").sub
    conclusion = re.compile(f"{any_of('conclusion')}.*$").sub
    transcript = re.compile(any_of("transcript")).sub

    def cut(reply: str) -> str:
        return transcript(END, introduction(END, conclusion("", reply)))

    return cut
