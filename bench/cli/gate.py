"""`python -m bench gate`: our cost beside a plain loop's, against what was noted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from bench import gate as gates
from bench import registry, report
from bench.cli.common import out, recent_hour, stop, workplace
from bench.cli.rounds import run_variants
from bench.workload import Plan
from postloop.domain.errors import PostloopError


def register(app: typer.Typer) -> None:
    """Add `gate`."""
    app.command()(gate)


def gate(
    rounds: Annotated[int, typer.Option(min=1, help="Of both sides, in turn.")] = 2,
    events: Annotated[int, typer.Option(min=1000, help="Records in the topics.")] = 100_000,
    note: Annotated[str, typer.Option(help="Note the ratios for this change, instead of judging them.")] = "",
) -> None:
    """Compare our cost with a plain loop's and with what was noted: python -m bench gate

    Exit code 1: a ratio got worse by more than the margin, or a run failed.
    """
    plan = Plan(event_count=events, start_at=recent_hour())
    wanted = registry.chosen(f"{report.BASE},{gates.PEER}")
    with workplace() as place:
        try:
            results, _ = run_variants(plan, wanted, place, rounds=rounds, timeout_s=300)
            found = gates.ratios_of(results)
        except (PostloopError, ValueError) as error:
            raise stop(str(error), code=3) from None
    for failure in report.failures(results):
        raise stop(failure, code=1)
    notes = gates.read_notes()
    out.print(gates.trend(notes, found))
    if note:
        gates.add_note(gates.Note(at=f"{datetime.now(UTC):%Y-%m-%d}", change=note, ratios=found))
    elif notes and (worse := gates.complaints(found, notes[-1].ratios)):
        raise stop("; ".join(worse), code=1)
