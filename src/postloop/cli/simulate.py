"""`postloop simulate`: believable mail events on the input topics, and a file with the exact expected counts."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from postloop.adapters.clock import now_ms
from postloop.adapters.event_producer import EventProducer
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, out, print_json, settings_for, stop
from postloop.contracts.fields import parse_time
from postloop.domain.event_types import EVENT_TYPES, topic_name
from postloop.settings import Settings, parse_duration
from postloop.simulation.generator import Simulation
from postloop.simulation.plan import Plan, check_times
from postloop.simulation.sending import Sent, send_all
from postloop.simulation.truth import write_truth
from postloop.simulation.truth_build import build_truth

_INTERRUPTED: Final = 130


class Key(StrEnum):
    """What decides about the partition of an event."""

    RECIPIENT = "recipient"
    NONE = "none"


def _share(text: str) -> Any:
    return typer.Option(metavar="SHARE", min=0.0, max=1.0, help=text)


Events = Annotated[
    int,
    typer.Option(
        "--events",
        min=1,
        help="Distinct valid events. Duplicates and invalid ones are written on top of them.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="The same seed and --start give the same bytes.")]
Rate = Annotated[
    float, typer.Option("--rate", min=0.0, help="Events written per second; 0: as fast as possible.")
]
TruthFile = Annotated[
    Path | None,
    typer.Option("--truth", metavar="FILE", help="Write the expected counts here (.gz: compressed)."),
]
Start = Annotated[
    str,
    typer.Option(
        "--start", metavar="TIME", help="Start of event time, RFC 3339. Default: --span before now."
    ),
]
Span = Annotated[
    str, typer.Option("--span", metavar="DURATION", help="Length of event time, like 30m, 1h, 2d.")
]
Domains = Annotated[
    int, typer.Option("--domains", min=1, help="Sender domains; their sizes follow Zipf's law.")
]
Accounts = Annotated[int, typer.Option("--accounts", min=1, help="Accounts that own the domains.")]
KeyOption = Annotated[
    Key,
    typer.Option(
        "--key",
        help="recipient: a duplicate reaches the partition of its original. none: another one, where only "
        "`postloop reconcile` finds it.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `simulate` to the command line."""
    app.command("simulate")(simulate)


def simulate(
    events: Events = 10_000,
    seed: Seed = 1,
    rate: Rate = 0.0,
    truth: TruthFile = None,
    start: Start = "",
    span: Span = "1h",
    domains: Domains = 40,
    accounts: Accounts = 12,
    duplicates: Annotated[float, _share("Events that are written twice, per event.")] = 0.01,
    invalid: Annotated[
        float, _share("Invalid events or records, per event: each is one dead letter.")
    ] = 0.005,
    late: Annotated[
        float, _share("Messages whose events happened 10 minutes to 72 h before their turn.")
    ] = 0.05,
    out_of_order: Annotated[float, _share("Events written up to 5 minutes after their turn.")] = 0.05,
    machine_opens: Annotated[
        float, _share("Delivered messages whose image a machine fetches, on average.")
    ] = 0.15,
    array_share: Annotated[float, _share("Recipients whose events travel in arrays.")] = 0.1,
    key: KeyOption = Key.RECIPIENT,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write believable mail events to Kafka, with a file of the exact counts that ClickHouse must show.

    N of --events counts distinct valid events: 200000 events with 1 % duplicates and 0.5 % invalid ones are
    203,000 written ones, 200,000 rows and 1,000 dead letters. Runs do not disturb each other: each has its own
    accounts and event ids. A run that is repeated with the same options and --start repeats its events.

    Example: postloop simulate --events 200000 --seed 7 --truth truth.json.gz && postloop verify --truth truth.json.gz
    """
    settings = settings_for(data_dir)
    with guarded():
        span_ms = _milliseconds(span)
        plan = Plan(
            events=events,
            seed=seed,
            start_ms=_start_ms(start, span_ms),
            span_ms=span_ms,
            domains=domains,
            accounts=min(accounts, domains),
            duplicates=duplicates,
            invalid=invalid,
            late=late,
            out_of_order=out_of_order,
            machine_opens=machine_opens,
            array_share=array_share,
            key=_KEYS[key],
        )
        check_times(plan, now_ms=now_ms(), retention=settings.raw_retention)
        _check_writable(truth)
        simulation = Simulation(plan)
        took_s = time.monotonic()
        sent = _send(simulation, settings, rate=rate)
        took_s = time.monotonic() - took_s
        if truth is not None:
            write_truth(build_truth(simulation), truth)
    _report(simulation, sent, took_s=took_s, truth=truth, as_json=as_json)


_KEYS: Final[dict[Key, Literal["recipient", "none"]]] = {Key.RECIPIENT: "recipient", Key.NONE: "none"}


def _send(simulation: Simulation, settings: Settings, *, rate: float) -> Sent:
    expected = round(simulation.plan.events * (1 + simulation.plan.duplicates + simulation.plan.invalid))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with EventProducer(settings) as producer:
        producer.require_topics(topic_name(kind, prefix=settings.topic_prefix) for kind in EVENT_TYPES)
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("events", total=expected)
            try:
                return send_all(
                    simulation.records(),
                    producer,
                    topic_prefix=settings.topic_prefix,
                    rate=rate,
                    now_s=time.monotonic,
                    sleep=time.sleep,
                    on_progress=lambda done: progress.update(task, completed=done),
                )
            except KeyboardInterrupt:
                err.print("interrupted: a part of the events was written, and no truth file")
                raise typer.Exit(_INTERRUPTED) from None


def _milliseconds(duration: str) -> int:
    try:
        parsed = parse_duration(duration)
    except ValueError as error:
        raise stop(f"--span: {error}", Exit.USAGE) from None
    return round(parsed.total_seconds() * 1000) if isinstance(parsed, timedelta) else 0


def _start_ms(text: str, span_ms: int) -> int:
    """Return the start of event time; by default in whole seconds, so that the span ends now."""
    if not text:
        return int(time.time()) * 1000 - span_ms
    try:
        moment = parse_time(text)
    except ValueError:
        moment = None
    if moment is None or datetime.fromisoformat(text).tzinfo is None:
        raise stop(
            f"--start is an RFC 3339 time with a zone, like 2026-01-02T03:04:05Z: {text!r}", Exit.USAGE
        )
    return round(moment.astimezone(UTC).timestamp() * 1000)


def _check_writable(truth: Path | None) -> None:
    """Refuse a truth file that could not be written, before a million events are sent."""
    if truth is None:
        return
    parent = truth.absolute().parent
    if truth.is_dir() or not parent.is_dir() or not os.access(truth if truth.exists() else parent, os.W_OK):
        raise stop(f"--truth {truth} cannot be written", Exit.USAGE)


def _report(simulation: Simulation, sent: Sent, *, took_s: float, truth: Path | None, as_json: bool) -> None:
    tally = simulation.tally
    rate = sent.elements / took_s if took_s else 0.0
    if as_json:
        print_json(
            {
                "run": simulation.plan.run,
                "events": tally.events,
                "by_type": dict(tally.by_type),
                "duplicates": tally.disturbances["duplicates"],
                "invalid": tally.invalid.total(),
                "records": sent.records,
                "acknowledged": sent.acknowledged,
                "bytes": sent.bytes_count,
                "duration_s": round(took_s, 3),
                "events_per_s": round(rate),
                "truth": str(truth) if truth else None,
                "plan": asdict(simulation.plan),
            }
        )
        return
    kinds = ", ".join(f"{kind} {tally.by_type[kind]:,}" for kind in EVENT_TYPES)
    out.print(f"run {simulation.plan.run}: {tally.events:,} events ({kinds})")
    out.print(
        f"on top {tally.disturbances['duplicates']:,} duplicates and {tally.invalid.total():,} invalid; "
        f"{tally.disturbances['late']:,} late, {tally.disturbances['out_of_order']:,} out of order"
    )
    out.print(
        f"{sent.acknowledged:,} records acknowledged, {sent.bytes_count / 1e6:,.1f} MB in {took_s:.1f} s "
        f"({rate:,.0f} events/s)"
    )
    if truth is not None:
        out.print(f"truth in {truth}: postloop verify --truth {truth}")
