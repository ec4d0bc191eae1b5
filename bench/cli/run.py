"""`python -m bench run`: the variants against each other."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bench import facts, registry, report
from bench.cli.common import JsonFile, Timeout, out, recent_hour, stop, workplace, write
from bench.cli.rounds import run_variants
from bench.running import Result
from bench.workload import Plan
from postloop.domain.errors import PostloopError


def register(app: typer.Typer) -> None:
    """Add `run`."""
    app.command()(run)


def run(
    rounds: Annotated[int, typer.Option(min=1, help="How often each variant runs, in turn.")] = 3,
    variants: Annotated[str, typer.Option(help="Comma separated; default: all.")] = "",
    events: Annotated[int, typer.Option(min=1000, help="Records in the topics.")] = 400_000,
    partitions: Annotated[int, typer.Option(min=1, help="Of each of the six topics.")] = 4,
    domains: Annotated[int, typer.Option(min=1, help="Sender domains.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the workload.")] = 1,
    timeout_s: Timeout = 300.0,
    json_file: JsonFile = None,
) -> None:
    """Run the variants in interleaved rounds: python -m bench run --rounds 3 --variants postloop,confluent"""
    plan = Plan(
        event_count=events,
        start_at=recent_hour(),
        seed=seed,
        domain_count=domains,
        partition_count=partitions,
    )
    try:
        wanted = registry.chosen(variants)
    except PostloopError as error:
        raise stop(str(error), code=2) from None
    with workplace() as place:
        try:
            results, tally = run_variants(plan, wanted, place, rounds=rounds, timeout_s=timeout_s)
        except PostloopError as error:
            raise stop(str(error), code=3) from None
    out.print(report.table(results))
    for failure in report.failures(results):
        out.print(failure, style="red", markup=False, soft_wrap=True)
    if json_file:
        workload = {**asdict(plan), "average_bytes": tally.byte_count / tally.record_count}
        write(json_file, _document(results, wanted, workload, asdict(tally.counts)))
    if any(result.figures is None for result in results):
        raise typer.Exit(1)


def _document(
    results: list[Result], wanted: list[registry.Variant], workload: dict[str, Any], counts: dict[str, int]
) -> dict[str, Any]:
    made = [v for v in wanted if any(r.variant == v.name and r.figures for r in results)]
    return {
        "measured_at": datetime.now(UTC),
        "machine": facts.machine(),
        "versions": facts.package_versions(made),
        "workload": workload,
        "expected": counts,
        "clock": report.FOOTNOTE,
        "summary": report.summary(results),
        "runs": [result.as_json() for result in results],
    }
