"""A message as a person reads it on a terminal: the verdict, the next steps, the events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rich.text import Text

from postloop.cli.common import printable, wrapped
from postloop.contracts.message import MessageV1, StepV1, TimelineEventV1
from postloop.domain.diagnosis.texts import texts
from postloop.domain.message.texts import duration_text
from postloop.domain.wording import words_of

_STYLES: Final = {
    "delivered": "green",
    "on_its_way": "cyan",
    "delayed": "yellow",
    "lost": "red",
    "bounced_hard": "red",
    "bounced_soft": "red",
    "refused": "red",
    "suppressed": "red",
}
_TITLES: Final = {
    "en": {
        "next": "Next",
        "events": "What happened (UTC)",
        "whose": "{id} to {to}{at}, from {domain} of {account}",
    },
    "id": {
        "next": "Selanjutnya",
        "events": "Riwayat (UTC)",
        "whose": "{id} untuk {to}{at}, dari {domain} milik {account}",
    },
}
_TIME_CHARS: Final = 19
_SPAN_CHARS: Final = 13
_VERDICT_CHARS: Final = max(map(len, _STYLES))
_MINUTE_CHARS: Final = 16


def message_lines(found: MessageV1, *, lang: str, width: int, is_first: bool = True) -> Iterator[Text]:
    """Yield what is told of a message to one recipient; an empty line stands before all but the first."""
    if not is_first:
        yield Text()
    words = words_of(lang, _TITLES)
    yield from wrapped(found.verdict_text, width, style=f"bold {_STYLES[found.verdict]}")
    yield from wrapped(found.reason_text, width)
    yield from wrapped(_whose(found, words["whose"]), width, style="dim")
    yield Text()
    yield from _facts(found, lang, width)
    if found.next_steps:
        yield Text(words["next"], style="dim")
        for number, step in enumerate(found.next_steps, start=1):
            yield from _step(number, step, width)
        yield Text()
    yield Text(words["events"], style="dim")
    for event in found.timeline:
        yield from _event(event, lang, width)
    if found.support:
        yield Text()
        yield from wrapped(found.support, width)


def list_lines(found: MessageV1, *, width: int) -> Iterator[Text]:
    """Yield a message as two lines of a list."""
    line = Text(f"{_time(found.sent_at or found.timeline[0].at)[:_MINUTE_CHARS]}  ")
    line.append(f"{found.verdict:<{_VERDICT_CHARS}}", style=_STYLES[found.verdict])
    yield line.append(f"  {printable(found.message_id)}", style="bold").append(
        f"  {found.sender_domain}", style="not bold dim"
    )
    yield from wrapped(found.reason_text, width, first=" " * 18, rest=" " * 18)


def _whose(found: MessageV1, sentence: str) -> str:
    at = f" ({found.mailbox_provider})" if found.mailbox_provider else ""
    return sentence.format(
        id=found.message_id, to=found.recipient, at=at, domain=found.sender_domain, account=found.account_id
    )


def _facts(found: MessageV1, lang: str, width: int) -> Iterator[Text]:
    label = texts(lang).text
    facts = {label("labels", "side"): found.side_text, label("labels", "retry"): found.retry_text}
    indent = max(map(len, facts)) + 2
    for name, value in facts.items():
        yield from wrapped(value, width, first=f"{name:<{indent}}", rest=" " * indent)
    yield Text()


def _step(number: int, step: StepV1, width: int) -> Iterator[Text]:
    yield from wrapped(
        step.text, width, first=f"{number:>2}. ", rest="    ", style="bold" if number == 1 else ""
    )
    for check in step.checks:
        yield from wrapped(check, width, first="    - ", rest="      ")


def _event(event: TimelineEventV1, lang: str, width: int) -> Iterator[Text]:
    since_s = max(event.since_sent_s or 0, 0)
    span = f" +{duration_text(since_s, lang)}" if since_s else ""
    indent = " " * (_TIME_CHARS + _SPAN_CHARS)
    # A span that is wider than its column pushes the text on; it never touches the time.
    yield from wrapped(event.text, width, first=f"{_time(event.at)}{span:>{_SPAN_CHARS - 2}}  ", rest=indent)
    if event.said:
        yield from wrapped(event.said, width, first=indent, rest=indent, style="dim")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
