"""`python -m bench lookup`: messages, domains and the status page with many events stored."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, err, out, workplace, write
from bench.lookup import Timed, measure


def register(app: typer.Typer) -> None:
    """Add `lookup`."""
    app.command()(lookup)


def lookup(
    events: Annotated[int, typer.Option(min=1_000, help="Raw events stored.")] = 10_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Look-ups of each kind.")] = 50,
    json_file: JsonFile = None,
) -> None:
    """Measure how long look-ups take with so many events of 30 days stored: python -m bench lookup"""
    found: list[Timed] = []

    def done(timed: Timed) -> None:
        found.append(timed)
        out.print(
            f"{timed.what:<34} median {timed.p50_ms:7.1f} ms, p99 {timed.p99_ms:7.1f} ms, "
            f"longest {timed.worst_ms:7.1f} ms",
            highlight=False,
        )

    err.print(f"storing {events:,} events ...", highlight=False)
    with workplace() as place:
        measure(place.directory, event_count=events, rounds=rounds, on_done=done)
    if json_file:
        write(json_file, {"machine": facts.machine(), "lookups": [timed._asdict() for timed in found]})
