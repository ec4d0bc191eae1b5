"""`postloop deadletter`: the records that could not be read, and giving them another try."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table

from postloop.adapters.clickhouse import connect
from postloop.adapters.clock import utc_now
from postloop.adapters.dead_letter_store import DeadLetter, DeadLetterStore, Filter
from postloop.adapters.redrive import Redriver
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, out, print_json, settings_for, stop
from postloop.contracts.fields import WireTime, rfc3339
from postloop.domain.event_types import STATE_TOPICS, prefixed
from postloop.settings import Settings, parse_duration

_PREVIEW_CHARS: Final = 60
_SHOWN_BYTES: Final = 4000
_TIME: Final[TypeAdapter[datetime]] = TypeAdapter(WireTime)

deadletter = typer.Typer(
    no_args_is_help=True, help="Look at records that could not be read, and redrive them."
)

Topic = Annotated[str, typer.Option("--topic", help="Only of this topic, as in email.bounce.")]
Code = Annotated[str, typer.Option("--code", help="Only with this code as their first error, as in missing.")]
Since = Annotated[
    str,
    typer.Option(
        "--since", metavar="TIME", help="Only newer than an RFC 3339 time or an age like 30m, 24h, 7d."
    ),
]


def register(app: typer.Typer) -> None:
    """Add `postloop deadletter`."""
    app.add_typer(deadletter, name="deadletter")


@deadletter.command("list")
def list_letters(
    topic: Topic = "",
    code: Code = "",
    since: Since = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, the newest first.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first.

    Example: [bold]postloop deadletter list --topic email.bounce --since 24h --json | jq -r .event_id[/]
    """
    wanted = Filter(topic, code, _moment(since))
    with guarded():
        letters = _store(settings_for(data_dir)).newest(wanted, limit=limit)
    if as_json:
        for letter in letters:
            print_json(_document(letter, preview=True))
        return
    # The id is what the other commands take: it must never be cut.
    event_id = Column("event_id", no_wrap=True, min_width=36)
    table = Table(event_id, "at", "topic", "place", "code", "redriven", "value", box=None)
    for letter in letters:
        place = f"{letter.partition}:{letter.offset}" + ("" if letter.index is None else f"[{letter.index}]")
        table.add_row(
            letter.event_id,
            f"{letter.at:%m-%d %H:%M}",
            letter.topic,
            escape(place),
            letter.error_code,
            "" if letter.redriven_at is None else "yes",
            escape(_text(letter.value, _PREVIEW_CHARS)),
        )
    out.print(table)
    if len(letters) == limit:
        err.print(f"the newest {limit}; --limit shows more")


@deadletter.command()
def show(
    event_id: Annotated[str, typer.Argument(help="The dead letter's event_id.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter: where it stood, every reason, and its bytes.

    Example: [bold]postloop deadletter show 0f3c2b6e-6d2f-5f57-9a51-0a3c7d2b1e4f[/]
    """
    with guarded():
        found = [letter for page in _store(settings_for(data_dir)).find([event_id]) for letter in page]
    if not found:
        raise stop(f"no dead letter {event_id}", Exit.NO)
    if as_json:
        print_json(_document(found[0], preview=False))
        return
    _show(found[0])


@deadletter.command()
def redrive(
    event_ids: Annotated[list[str] | None, typer.Argument(help="Dead letters by event_id.")] = None,
    topic: Topic = "",
    code: Code = "",
    since: Since = "",
    again: Annotated[bool, typer.Option("--again", help="Also those that were redriven before.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be published, publish nothing.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Publish dead letters to the topics they came from, each with its original bytes and once.

    Name them, or choose them by --topic, --code and --since. Their records carry the header postloop-redriven.
    Messages of an import were no records of a topic: import them again. Records of a topic of which the last one counts
    (blocklist.state and the changelogs) are left alone, and so are those whose bytes were too large for a dead letter.

    Example: [bold]postloop deadletter redrive --topic email.bounce --since 2h --dry-run[/]
    """
    wanted = Filter(topic, code, _moment(since))
    if bool(event_ids) == (wanted != Filter()):
        raise stop("name dead letters by id, or choose them by --topic, --code or --since", Exit.USAGE)
    settings = settings_for(data_dir)
    with guarded():
        store = _store(settings)
        chosen = list(dict.fromkeys(event_ids)) if event_ids else store.ids(wanted)
        counts = _redrive(store, settings, chosen, again=again, dry_run=dry_run)
    _tell(counts, dry_run=dry_run, as_json=as_json)
    if counts["not_records"] and counts["not_records"] == len(chosen):
        raise stop("messages of an import cannot be redriven: import them again", Exit.REFUSED)
    if counts["left_alone"] and counts["left_alone"] == len(chosen):
        raise stop("these cannot be redriven", Exit.REFUSED)
    if counts["not_found"] or not chosen:
        raise stop(_not_found(counts, chosen), Exit.NO)


def _redrive(
    store: DeadLetterStore, settings: Settings, chosen: Sequence[str], *, again: bool, dry_run: bool
) -> dict[str, int]:
    counts = {"redriven": 0, "already_redriven": 0, "not_records": 0, "left_alone": 0, "not_found": 0}
    states = {prefixed(topic, prefix=settings.topic_prefix) for topic in STATE_TOPICS}
    found = 0
    with _Publisher(settings, dry_run=dry_run) as publisher, _progress() as bar:
        task = bar.add_task("redrive", total=len(chosen))
        for page in store.find(chosen):
            found += len(page)
            records = [letter for letter in page if letter.is_record]
            meant = [letter for letter in records if letter.topic not in states and letter.is_whole]
            due = [letter for letter in meant if again or letter.redriven_at is None]
            counts["not_records"] += len(page) - len(records)
            counts["left_alone"] += len(records) - len(meant)
            counts["already_redriven"] += len(meant) - len(due)
            counts["redriven"] += len(due)
            acknowledged: list[str] = []
            try:
                if due:
                    publisher.publish(due, acknowledged)
            finally:
                # After the acknowledgement: a crash in between repeats them, which their event ids make harmless.
                if acknowledged:
                    store.remember_redriven(acknowledged, at=utc_now())
            bar.update(task, completed=found)
    counts["not_found"] = len(chosen) - found
    return counts


def _progress() -> Progress:
    return Progress(console=err, transient=True, disable=not err.is_terminal)


class _Publisher:
    """Connects to the brokers when the first dead letter is due; does nothing in a dry run."""

    def __init__(self, settings: Settings, *, dry_run: bool) -> None:
        self._settings = settings
        self._dry_run = dry_run
        self._redriver: Redriver | None = None

    def publish(self, letters: Sequence[DeadLetter], acknowledged: list[str]) -> None:
        """Publish the letters; `acknowledged` gets the event ids of those that were."""
        if self._dry_run:
            return
        if self._redriver is None:
            self._redriver = Redriver(self._settings)
        self._redriver.require_topics({letter.topic for letter in letters})
        self._redriver.publish(letters, acknowledged)

    def __enter__(self) -> _Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._redriver is not None:
            self._redriver.close()


def _tell(counts: dict[str, int], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({**counts, "dry_run": dry_run})
        return
    done = "would be published again" if dry_run else "published again"
    skipped = counts["already_redriven"]
    out.print(f"{counts['redriven']:,} {done}")
    if skipped:
        out.print(f"{skipped:,} were redriven before and left alone (--again repeats them)")
    if counts["not_records"]:
        out.print(f"{counts['not_records']:,} are messages of an import and were left alone")
    if counts["left_alone"]:
        text = (
            "are records of a topic of which the last one counts, or without their bytes, and were left alone"
        )
        out.print(f"{counts['left_alone']:,} {text}")


def _not_found(counts: dict[str, int], chosen: Sequence[str]) -> str:
    return (
        f"{counts['not_found']:,} of {len(chosen):,} not found"
        if chosen
        else "no dead letter is meant by that"
    )


def _store(settings: Settings) -> DeadLetterStore:
    return DeadLetterStore(connect(settings), settings)


def _moment(text: str) -> datetime | None:
    """Return the moment that `--since` names."""
    if not text:
        return None
    try:
        age = parse_duration(text)
    except ValueError:
        age = None
    try:
        if isinstance(age, timedelta):
            return utc_now() - age
        return _TIME.validate_python(text)
    except (ValueError, OverflowError):  # an age may reach back before the year 1
        said = f"--since is a time like 2026-01-02T03:04:05Z or an age like 24h: {text!r}"
        raise stop(said, Exit.USAGE) from None


def _document(letter: DeadLetter, *, preview: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "event_id": letter.event_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "index": letter.index,
        "stage": letter.stage,
        "code": letter.error_code,
        "errors": [dict(error) for error in letter.errors],
        "at": _time(letter.at),
        "redriven_at": _time(letter.redriven_at) or None,
        "value_bytes": letter.value_bytes,
    }
    if preview:
        return {**document, "value_preview": _text(letter.value, _PREVIEW_CHARS)}
    return {
        **document,
        "topic_id": letter.topic_id,
        "key_base64": b64encode(letter.key).decode(),
        # An empty value and none are stored alike; the reason tells them apart.
        "value_base64": None if letter.error_code == "null_value" else b64encode(letter.value).decode(),
    }


def _show(letter: DeadLetter) -> None:
    place = f", partition {letter.partition}, offset {letter.offset}" if letter.is_record else ""
    out.print(f"[bold]{letter.event_id}[/]  {letter.topic}{place}")
    out.print(f"{_part(letter)}, refused {_time(letter.at)} at stage {letter.stage}")
    out.print(f"redriven: {_time(letter.redriven_at) or 'never'}")
    for line in _reasons(letter):
        out.print(line, markup=False)
    out.print(f"\n{letter.value_bytes:,} bytes:", markup=False)
    out.print(_text(letter.value, _SHOWN_BYTES), markup=False)


def _part(letter: DeadLetter) -> str:
    if not letter.is_record:
        return "the whole message" if letter.index is None else f"recipient {letter.index} of the report"
    return "the whole record" if letter.index is None else f"element {letter.index} of the record's array"


def _reasons(letter: DeadLetter) -> Iterator[str]:
    for error in letter.errors:
        yield f"  {error.get('code', '')}: {error.get('text', '')}"


def _text(value: bytes, limit: int) -> str:
    """Return bytes as text on one line for a person; what is no UTF-8 shows as escapes."""
    text = value[: limit * 4].decode("utf-8", "backslashreplace")
    plain = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return plain if len(plain) <= limit and len(value) <= limit * 4 else plain[:limit] + "..."


def _time(moment: datetime | None) -> str:
    return "" if moment is None else rfc3339(moment)
