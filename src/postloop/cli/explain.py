"""`postloop explain`: what a code or a server's words mean, and what to check."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Final

import typer
from rich.text import Text

from postloop.cli.common import AsJson, Exit, out, print_json, stop, wrapped
from postloop.domain import diagnosis
from postloop.domain.bounce import Bounce, classify
from postloop.domain.diagnosis import Cause, Explanation
from postloop.domain.diagnosis.texts import texts

_is_reply: Final = re.compile(r"\s*[45]\d\d[ -].*?[^\W\d_]{2,}\s+\S*[^\W\d_]{2,}", re.DOTALL).match
"""A reply code and at least two words: what a server said, which may mean something else than its codes."""
_MAY_MEAN_ELSE: Final = frozenset({"enhanced", "reply", "class", "reason", "topic", "send"})
"""Families of codes and words that many servers use, some of them wrongly."""
_FEWEST_WORDS: Final = 3
_codes: Final = re.compile(r"\b[45]\.\d{1,3}\.\d{1,3}\b|\b[45]\d\d(?=[ -])").findall
_WIDTH: Final = 100
"""Lines longer than this are hard to read, however wide the terminal is."""
_MANY: Final = 3
"""With more causes than this, only the first check of each is shown: an answer should fit a screen."""


def register(app: typer.Typer) -> None:
    """Add `postloop explain`."""
    app.command()(explain)


def explain(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="CODE_OR_TEXT", help="A code, a reason, a topic, or what a server said."),
    ] = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of the answer, as in en or id.")] = "en",
    list_all: Annotated[bool, typer.Option("--list", help="Name every code and topic instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Explain why mail failed: what it means, whose side it is on, whether sending again helps, what to check.

    SMTP codes, codes of mailbox providers and of Tencent Cloud SES, bounce reasons, topics; --list names all.

    Exits with 1 if the code is not known; the answer then says what its class tells.

    Example: [bold]postloop explain 5.7.26[/]

    Example: [bold]postloop explain "550 5.1.1 <a@example.com>: user unknown" --lang id[/]

    Example: [bold]postloop explain FailedOperation.NotAuthenticatedSender --json[/]

    Example: [bold]postloop explain --list | grep -i template[/]
    """
    lang = lang.lower()
    if lang not in diagnosis.languages():
        raise stop(f"no language {lang!r}; there is: {', '.join(diagnosis.languages())}", Exit.USAGE)
    if bool(words) == list_all:
        raise stop("name one code or text to explain, or use --list", Exit.USAGE)
    if list_all:
        _show_list(lang, as_json=as_json)
        return
    answer = _answer(" ".join(words or ()), lang)
    if as_json:
        print_json(asdict(answer))
    else:
        _show(answer)
    if not answer.known:
        raise typer.Exit(Exit.NO)


def _answer(text: str, lang: str) -> Explanation:
    """Return the answer of a code's own entry; of a server's words, that of the reason they are classified as."""
    answer = diagnosis.explain(text, lang)
    if answer.family and answer.family not in _MAY_MEAN_ELSE:
        return answer  # the platform's own code or a provider's says more than what a server puts around it
    if not _is_reply(text) and (answer.known or len(text.split()) < _FEWEST_WORDS):
        return answer
    reason = classify(Bounce(diagnostic=text)).reason
    if reason in ("unknown", answer.reason):  # the code says no less, and often more
        return answer
    codes = [" ".join(dict.fromkeys(_codes(text)))]
    return diagnosis.explain_reason(reason, codes=codes, lang=lang)


def _show_list(lang: str, *, as_json: bool) -> None:
    listed = diagnosis.known_codes(lang)
    if as_json:
        for one in listed:
            print_json(asdict(one))
        return
    for label, group in groupby(listed, key=lambda one: one.family_label):
        ones = list(group)
        width = max(len(one.name) for one in ones)
        out.print(f"[bold]{label}[/]")
        for one in ones:
            out.print(f"  {one.name:<{width}}  {one.meaning}", markup=False)


def _show(answer: Explanation) -> None:
    for line in answer_lines(answer, width=min(out.width, _WIDTH)):
        out.print(line)


def answer_lines(answer: Explanation, *, width: int) -> Iterator[Text]:
    """Yield an answer line by line; only the line of sources may be longer than the width."""
    label = texts(answer.lang).text
    yield from _opening(answer, width)
    yield from _causes(answer, width)
    if answer.sources:
        # Addresses are not broken into lines: they must stay whole to be copied.
        yield Text(f"{label('labels', 'sources')}: {'  '.join(answer.sources)}", style="dim")
    yield from wrapped(answer.support, width)


def _opening(answer: Explanation, width: int) -> Iterator[Text]:
    """Yield what the code means, whose side it is on, and whether sending again helps."""
    label = texts(answer.lang).text
    kind = answer.family_label if answer.known else label("labels", "not_known")
    title = textwrap.shorten(
        answer.code or answer.name or answer.query, width - len(kind) - 2, placeholder="..."
    )
    yield Text(title, style="bold").append(f"  {kind}", style="not bold dim")
    yield from wrapped(answer.meaning, width)
    for other in answer.elsewhere:
        said = label("labels", "elsewhere").format(provider=other.label)
        yield from wrapped(f"{said}: {other.meaning}", width)
    if answer.similar:
        yield from wrapped(label("labels", "similar").format(names=", ".join(answer.similar)), width)
    yield Text()
    facts = {label("labels", "side"): answer.side_text, label("labels", "retry"): answer.retry_text}
    indent = max(map(len, facts)) + 2
    for name, value in facts.items():
        yield from wrapped(value, width, first=f"{name:<{indent}}", rest=" " * indent)
    yield Text()


def _causes(answer: Explanation, width: int) -> Iterator[Text]:
    label = texts(answer.lang).text
    likely = [cause for cause in answer.causes if cause.likely]
    further = [cause for cause in answer.causes if not cause.likely]
    if likely:
        yield Text(label("labels", "likely"), style="dim")
        yield from _numbered(likely, width, first=1, with_checks=True)
    if further:
        yield Text(label("labels", "further" if likely else "likely"), style="dim")
        yield from _numbered(further, width, first=len(likely) + 1, with_checks=not likely)
    if answer.causes:
        yield Text()


def _numbered(causes: list[Cause], width: int, *, first: int, with_checks: bool) -> Iterator[Text]:
    shown = (1 if len(causes) > _MANY else None) if with_checks else 0
    for number, cause in enumerate(causes, start=first):
        style = "bold" if with_checks else ""
        yield from wrapped(cause.text, width, first=f"{number:>2}. ", rest="    ", style=style)
        for check in cause.checks[:shown]:
            yield from wrapped(check, width, first="    - ", rest="      ")
