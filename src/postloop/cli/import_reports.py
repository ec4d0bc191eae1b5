"""`postloop import --format dsn|arf|mbox|maildir`: raw reports of mail servers become events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.progress import Progress

from postloop.adapters import mailboxes
from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.dead_letter_store import DeadLetterStore
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.event_producer import EventProducer
from postloop.adapters.mailboxes import OnBytes, StoredMessage
from postloop.cli.common import Exit, byte_progress, err, guarded, out, print_json, stop
from postloop.cli.input_files import open_input, up_to_damage
from postloop.contracts.deadletter import DeadLetterV1, dead_letter_row
from postloop.contracts.decode import Limits
from postloop.contracts.report_events import (
    Attribution,
    DecodedReport,
    decode_report,
    report_dead_letters,
    report_topic_id,
)
from postloop.domain.event_types import DEADLETTER_TOPIC, EventType, prefixed, topic_name
from postloop.domain.reports.model import DEFAULT_LIMITS
from postloop.settings import Settings

UNASSIGNED: Final = "unassigned"
"""The account of reports when nobody said whose mail they are about."""

_MAX_SHOWN: Final = 1_000
_LETTERS_AT_ONCE: Final = 16
_EVENT_TYPES: Final[tuple[EventType, ...]] = ("bounce", "complaint")


class Format(StrEnum):
    """What a file holds."""

    JSONL = "jsonl"
    DSN = "dsn"
    ARF = "arf"
    MBOX = "mbox"
    MAILDIR = "maildir"


FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        help="jsonl: events. dsn, arf: one delivery status or abuse report. mbox, maildir: a mailbox of both.",
    ),
]
AccountOption = Annotated[
    str, typer.Option("--account", metavar="ID", help="The account of reports whose header does not name it.")
]
AccountHeaderOption = Annotated[
    str,
    typer.Option("--account-header", metavar="NAME", help="Header of your mail that names the account."),
]
SenderDomainOption = Annotated[
    str,
    typer.Option(
        "--sender-domain", metavar="DOMAIN", help="The sender domain of reports that do not show it."
    ),
]
MessageIdHeaderOption = Annotated[
    str,
    typer.Option(
        "--message-id-header", metavar="NAME", help="Header of your mail with its id; else Message-ID."
    ),
]
RecipientHeaderOption = Annotated[
    str,
    typer.Option(
        "--recipient-header", metavar="NAME", help="Header of your mail that names its one recipient."
    ),
]

_WANTED: Final[dict[Format, Literal["dsn", "arf"]]] = {Format.DSN: "dsn", Format.ARF: "arf"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message, or the recipient at place `index` of its report, is no event."""

    message: int
    name: str
    index: int | None
    field: str
    code: str
    text: str


@dataclass(slots=True)
class Summary:
    """The outcome of an import of reports."""

    messages: int = 0
    invalid_messages: int = 0
    refused: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, decoded: DecodedReport, problems: Sequence[Problem]) -> None:
        """Count one message."""
        self.messages += 1
        self.invalid_messages += bool(problems)
        self.refused += len(decoded.refusals)
        self.by_type.update(record.event_type for record in decoded.records)
        self.skipped.update(decoded.skipped)
        self.problem_count += len(problems)
        self.problems.extend(problems[: max(0, _MAX_SHOWN - len(self.problems))])


def import_reports(
    file: str, form: Format, attribution: Attribution, settings: Settings, *, check: bool, as_json: bool
) -> bool:
    """Read reports and send their events and dead letters; return whether all could be read."""
    summary = Summary()
    with guarded(), ExitStack() as stack:
        messages = _open_messages(file, form, stack)
        advance, progress = byte_progress(stack, "checking" if check else "sending", messages.size)
        sender = None if check else _Sender(settings, stack)
        with up_to_damage() as damage:
            for message in messages.read(advance):
                decoded = _decoded(message, form, attribution, settings)
                problems = _problems(message, decoded)
                summary.add(decoded, problems)
                if not as_json:
                    _show(problems, progress)
                if sender is not None:
                    sender.send(message.raw, decoded, source=form)
        if sender is not None:
            sender.finish()
    _report(summary, sender, as_json=as_json)
    damage.tell()
    return not summary.problem_count


def _decoded(
    message: StoredMessage, form: Format, attribution: Attribution, settings: Settings
) -> DecodedReport:
    """Return what a message says; nothing where its file could not be read, of which no bytes are known."""
    if message.problem:
        return DecodedReport()
    return decode_report(
        message.raw,
        attribution,
        now=utc_now(),
        wanted=_WANTED.get(form),
        received_at=message.received_at,
        limits=Limits(retention=settings.raw_retention),
    )


@dataclass(frozen=True, slots=True)
class _Messages:
    """The messages of a file or directory, and their size in bytes where it is known."""

    size: int | None
    read: Callable[[OnBytes], Iterator[StoredMessage]]


def _open_messages(file: str, form: Format, stack: ExitStack) -> _Messages:
    max_bytes = DEFAULT_LIMITS.max_message_bytes
    if form is Format.MAILDIR:
        path = Path(file)
        if not mailboxes.is_maildir(path):
            raise stop(f"{file} is no maildir: it has neither new/ nor cur/", Exit.USAGE)
        size: int | None = mailboxes.maildir_bytes(path)

        def read(on_bytes: OnBytes) -> Iterator[StoredMessage]:
            return mailboxes.read_maildir(path, max_bytes=max_bytes, on_bytes=on_bytes)

        return _Messages(size, read)
    stream, size = open_input(file, stack)
    read_stream = mailboxes.read_mbox if form is Format.MBOX else mailboxes.read_single
    return _Messages(size, lambda on_bytes: read_stream(stream, max_bytes=max_bytes, on_bytes=on_bytes))


class _Sender:
    """Sends events to their topics, and dead letters to theirs and to ClickHouse, where they are listed."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._producer = stack.enter_context(EventProducer(settings))
        self._topics = {kind: topic_name(kind, prefix=settings.topic_prefix) for kind in _EVENT_TYPES}
        self._letter_topic = prefixed(DEADLETTER_TOPIC, prefix=settings.topic_prefix)
        self._producer.require_topics([*self._topics.values(), self._letter_topic])
        self._rows: list[dict[str, Any]] = []
        self.letter_count = 0
        self.not_listed: str = ""
        """Why dead letters are on their topic only; empty where they are listed too."""

    def send(self, raw: bytes, decoded: DecodedReport, *, source: str) -> None:
        """Hand over what became of one message."""
        for record in decoded.records:
            self._producer.send(self._topics[record.event_type], record.value, key=record.key)
        for letter in report_dead_letters(raw, decoded.refusals, source=source, at=utc_now()):
            self._send_letter(letter, topic_id=report_topic_id(raw))

    def finish(self) -> None:
        """Wait for every acknowledgement."""
        self._producer.flush()
        self._keep_letters()

    def _send_letter(self, letter: DeadLetterV1, *, topic_id: str) -> None:
        self._producer.send(self._letter_topic, letter.to_bytes(), key=letter.event_id.encode())
        self.letter_count += 1
        self._rows.append(dead_letter_row(letter, topic_id=topic_id))
        if len(self._rows) >= _LETTERS_AT_ONCE:
            self._producer.flush()
            self._keep_letters()

    def _keep_letters(self) -> None:
        rows, self._rows = self._rows, []
        if not rows or self.not_listed:
            return
        try:
            DeadLetterStore(connect(self._settings), self._settings).keep(rows)
        except (UnavailableError, RefusedError) as error:
            self.not_listed = str(error)


def _problems(message: StoredMessage, decoded: DecodedReport) -> list[Problem]:
    if message.problem:
        return [Problem(message.number, message.name, None, "", "cannot_read", message.problem)]
    return [
        Problem(message.number, message.name, refusal.index, reason.field, reason.code, reason.text)
        for refusal in decoded.refusals
        for reason in refusal.errors
    ]


def _show(problems: Sequence[Problem], progress: Progress) -> None:
    for problem in problems:
        name = f" ({problem.name})" if problem.name else ""
        place = f", recipient {problem.index}" if problem.index is not None else ""
        named = f"{problem.field}: " if problem.field else ""
        progress.console.print(f"message {problem.message}{name}{place}: {named}{problem.text}", markup=False)


def _report(summary: Summary, sender: _Sender | None, *, as_json: bool) -> None:
    events = summary.by_type.total()
    letters = sender.letter_count if sender else 0
    if as_json:
        print_json(
            {
                "messages": summary.messages,
                "invalid_messages": summary.invalid_messages,
                "events": events,
                "sent": events if sender else 0,
                "by_type": dict(summary.by_type),
                "skipped": dict(summary.skipped),
                "dead_letters": letters,
                "would_be_dead_letters": 0 if sender else summary.refused,
                "problem_count": summary.problem_count,
                "problems": [asdict(problem) for problem in summary.problems],
            }
        )
    else:
        ending = f"{letters:,} dead letters" if sender else f"{summary.refused:,} would be dead letters"
        out.print(
            f"{summary.messages:,} messages: {events:,} events {'sent' if sender else 'valid'} "
            f"({_listed(summary.by_type)}), {summary.skipped.total():,} skipped "
            f"({_listed(summary.skipped)}), {ending}"
        )
    if any(problem.field == "sender_domain" for problem in summary.problems):
        err.print("--sender-domain names the domain of reports that do not show it")
    if sender and sender.not_listed:
        err.print(
            f"dead letters are on their topic, not in `deadletter list`: {sender.not_listed}", markup=False
        )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
