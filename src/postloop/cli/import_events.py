"""`postloop import`: a user's own events, checked and sent to the input topics. JSON lines are read here."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.progress import Progress

from postloop.adapters.event_producer import EventProducer
from postloop.cli.common import (
    AsJson,
    DataDir,
    Exit,
    byte_progress,
    err,
    guarded,
    out,
    print_json,
    settings_for,
    stop,
)
from postloop.cli.import_reports import (
    UNASSIGNED,
    AccountHeaderOption,
    AccountOption,
    Format,
    FormatOption,
    MessageIdHeaderOption,
    RecipientHeaderOption,
    SenderDomainOption,
    import_reports,
)
from postloop.cli.input_files import open_input, up_to_damage
from postloop.contracts.decode import Limits
from postloop.contracts.field_errors import FieldError
from postloop.contracts.handed_in import read_handed_in
from postloop.contracts.report_events import Attribution
from postloop.domain.event_types import EVENT_TYPES, EventType, topic_name
from postloop.settings import Settings

_MAX_SHOWN: Final = 1_000


class TypeName(StrEnum):
    """The event types as the command line spells them."""

    SEND = "send"
    DELIVERY = "delivery"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    OPEN = "open"
    UNSUBSCRIBE = "unsubscribe"


File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A file, also one that gzip compressed, or a maildir; - reads standard input."
    ),
]
TypeOption = Annotated[
    TypeName | None,
    typer.Option("--type", help='The type of every line that does not say its own: "type".'),
]
CheckOption = Annotated[bool, typer.Option("--check", help="Only validate; nothing is sent.")]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line, or the element `index` of an array in it, is no event."""

    line: int
    index: int | None
    field: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank: what it holds, and what is wrong with it."""

    number: int
    value: bytes
    event_type: EventType | None
    key: bytes | None
    events: int
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class Summary:
    """The outcome of an import. A line with a bad element is not sent at all."""

    lines: int = 0
    invalid_lines: int = 0
    problem_count: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Count one line."""
        self.lines += 1
        if line.problems:
            self.invalid_lines += 1
            self.problem_count += len(line.problems)
            self.problems.extend(line.problems[: max(0, _MAX_SHOWN - len(self.problems))])
        elif line.event_type is not None:
            self.by_type[line.event_type] += line.events


def register(app: typer.Typer) -> None:
    """Add `import` to the command line."""
    app.command("import")(import_events)


def import_events(
    file: File,
    form: FormatOption = Format.JSONL,
    event_type: TypeOption = None,
    account: AccountOption = "",
    account_header: AccountHeaderOption = "",
    sender_domain: SenderDomainOption = "",
    message_id_header: MessageIdHeaderOption = "",
    recipient_header: RecipientHeaderOption = "",
    check: CheckOption = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send events to the input topics: JSON lines, or raw bounces and complaints as mail servers send them.

    Invalid lines are reported with their number and left out, valid ones are sent; the exit code is 1 if any
    line was invalid. A report that cannot be read becomes a dead letter. With --check nothing is sent.

    Example: postloop import bounces.jsonl --type bounce --check

    Example: postloop import /var/mail/bounces --format mbox --account acme
    """
    if form is not Format.JSONL and not (account or account_header):
        account = UNASSIGNED
        err.print(
            f"a report does not say whose mail it is about: its events go to the account {UNASSIGNED!r}; "
            "--account ID or --account-header NAME names another"
        )
    attribution = Attribution(
        account=account,
        account_header=account_header,
        sender_domain=sender_domain,
        message_id_header=message_id_header,
        recipient_header=recipient_header,
    )
    _refuse_contradictions(form, event_type, attribution)
    settings = settings_for(data_dir)
    if form is Format.JSONL:
        kind = EVENT_TYPES[list(TypeName).index(event_type)] if event_type else None
        is_good = _import_lines(file, kind, settings, check=check, as_json=as_json)
    else:
        is_good = import_reports(file, form, attribution, settings, check=check, as_json=as_json)
    if not is_good:
        raise typer.Exit(int(Exit.NO))


def _refuse_contradictions(form: Format, event_type: TypeName | None, attribution: Attribution) -> None:
    if form is not Format.JSONL and event_type is not None:
        raise stop("--type is for JSON lines: a report says itself what it is", Exit.USAGE)
    if form is Format.JSONL and attribution != Attribution():
        raise stop("account, domain and headers are told for reports: add --format", Exit.USAGE)


def _import_lines(
    file: str, event_type: EventType | None, settings: Settings, *, check: bool, as_json: bool
) -> bool:
    """Check and send JSON lines; return whether all were valid."""
    limits = Limits(retention=settings.raw_retention)
    with guarded(), ExitStack() as stack:
        stream, size = open_input(file, stack)
        send = (lambda _: None) if check else _sender(settings, stack)
        summary = Summary()
        advance, progress = byte_progress(stack, "checking" if check else "sending", size)
        lines = read_lines(
            stream, event_type=event_type, now=datetime.now(UTC), limits=limits, on_bytes=advance
        )
        with up_to_damage() as damage:
            for line in lines:
                summary.add(line)
                if line.problems and not as_json:
                    _show(line, progress)
                elif not line.problems:
                    send(line)
        send(None)
    _report(summary, check=check, as_json=as_json)
    damage.tell()
    return not summary.invalid_lines


def read_lines(
    stream: BinaryIO,
    *,
    event_type: EventType | None,
    now: datetime,
    limits: Limits,
    on_bytes: Callable[[int], Any] = lambda _: None,
) -> Iterator[Line]:
    """Yield every line that is not blank with its events counted and its problems found.

    Args:
        event_type: The type of every line that does not say its own; None: each says it.
        on_bytes: Told the length of each line that was read.
    """
    for number, raw in enumerate(stream, start=1):
        on_bytes(len(raw))
        value = (raw.removeprefix(BOM_UTF8) if number == 1 else raw).strip()
        if value:
            yield _line(number, value, event_type=event_type, now=now, limits=limits)


def _line(number: int, value: bytes, *, event_type: EventType | None, now: datetime, limits: Limits) -> Line:
    read = read_handed_in(value, event_type=event_type, now=now, limits=limits, hint="--type")
    problems = tuple(_problem(number, index, reason) for index, reason in read.problems)
    return Line(number, value, read.event_type, read.key, len(read.events), problems)


def _problem(number: int, index: int | None, reason: FieldError) -> Problem:
    return Problem(number, index, reason.field, reason.code, reason.text)


def _sender(settings: Settings, stack: ExitStack) -> Callable[[Line | None], None]:
    """Return a function that sends a line, and flushes for None. Records have their recipient as key."""
    producer = stack.enter_context(EventProducer(settings))
    topics = {kind: topic_name(kind, prefix=settings.topic_prefix) for kind in EVENT_TYPES}
    producer.require_topics(topics.values())

    def send(line: Line | None) -> None:
        if line is None:
            producer.flush()
        elif line.event_type is not None:
            producer.send(topics[line.event_type], line.value, key=line.key)

    return send


def _show(line: Line, progress: Progress) -> None:
    for problem in line.problems:
        place = f"line {problem.line}" + (f", element {problem.index}" if problem.index is not None else "")
        named = f"{problem.field}: " if problem.field else ""
        progress.console.print(f"{place}: {named}{problem.text}", markup=False)


def _report(summary: Summary, *, check: bool, as_json: bool) -> None:
    events = summary.by_type.total()
    if as_json:
        print_json(
            {
                "lines": summary.lines,
                "invalid_lines": summary.invalid_lines,
                "events": events,
                "sent": 0 if check else events,
                "by_type": dict(summary.by_type),
                "problem_count": summary.problem_count,
                "problems": [asdict(problem) for problem in summary.problems],
            }
        )
        return
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.by_type.items())) or "none"
    what = "valid" if check else "sent"
    out.print(
        f"{summary.lines:,} lines: {events:,} events {what} ({kinds}), {summary.invalid_lines:,} lines invalid"
    )
