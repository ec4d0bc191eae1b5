"""`postloop verify`: does ClickHouse show what a simulation wrote?"""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from postloop.adapters.clickhouse import connect
from postloop.adapters.migration_render import Layout
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, out, print_json, settings_for, stop
from postloop.settings import Settings, parse_duration
from postloop.simulation.checks import Check
from postloop.simulation.observed import Observed
from postloop.simulation.settle import Arrived, look, settle
from postloop.simulation.truth import Truth, read_truth
from postloop.simulation.verify import SKETCH_ERROR, Tolerance, Verification

_QUERY_TIMEOUT_S = 300

TruthFile = Annotated[
    Path, typer.Option("--truth", metavar="FILE", help="The file that `postloop simulate` wrote.")
]
Wait = Annotated[
    str,
    typer.Option(
        "--wait",
        metavar="DURATION",
        help="Wait until everything arrived, or until nothing changed for this long; 0s: do not wait.",
    ),
]
ToleranceOption = Annotated[
    float,
    typer.Option(
        "--tolerance",
        metavar="SHARE",
        min=0.0,
        max=0.5,
        help="How far unique opens above 300 may be off; all counts are compared exactly.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `verify` to the command line."""
    app.command("verify")(verify)


def verify(
    truth: TruthFile,
    wait: Wait = "30s",
    tolerance: ToleranceOption = SKETCH_ERROR,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare raw events, rollups, views and dead letters with the truth file of a simulation.

    Exit code 0: no difference. 1: differences, the first of each check are shown. 3: ClickHouse is not there.

    Example: postloop verify --truth truth.json.gz
    """
    settings = settings_for(data_dir)
    with guarded():
        wait_s = _seconds(wait)
        known = read_truth(truth)
        observed = _observed(settings, known)
        arrived = _wait(observed, known, wait_s=wait_s) if wait_s else look(observed)
        if not arrived.is_whole(known):
            err.print(
                f"[yellow]not all has arrived:[/] {_progress(arrived, known)}; for what is on its way: a longer --wait"
            )
        verification = Verification(observed, known, tolerance=Tolerance(uniques=tolerance))
        with err.status("comparing") as status:
            checks = []
            for check in verification.checks():
                checks.append(check)
                status.update(f"compared {check.name}")
    is_good = all(check.is_good for check in checks)
    _print_json(checks, known) if as_json else _print(checks, known)
    if not is_good:
        raise typer.Exit(int(Exit.NO))


def _observed(settings: Settings, truth: Truth) -> Observed:
    client = connect(settings, timeout_s=_QUERY_TIMEOUT_S)
    return Observed(client, truth, layout=Layout(cluster=settings.clickhouse_cluster))


def _wait(observed: Observed, truth: Truth, *, wait_s: float) -> Arrived:
    with err.status("waiting") as status:
        return settle(
            observed,
            truth,
            wait_s=wait_s,
            now_s=time.monotonic,
            sleep=time.sleep,
            on_progress=lambda arrived: _show(status, arrived, truth),
        )


def _show(status: Status, arrived: Arrived, truth: Truth) -> None:
    status.update(_progress(arrived, truth))


def _progress(arrived: Arrived, truth: Truth) -> str:
    return (
        f"{arrived.events:,} of {truth.events:,} events, {arrived.dead_letters:,} of "
        f"{truth.dead_letters:,} dead letters, {arrived.pending_repairs} hours wait for a repair"
    )


def _seconds(duration: str) -> float:
    if duration in ("0", "0s"):
        return 0.0
    try:
        parsed = parse_duration(duration)
    except ValueError as error:
        raise stop(f"--wait: {error}", Exit.USAGE) from None
    return parsed.total_seconds() if isinstance(parsed, timedelta) else 0.0


def _print(checks: list[Check], truth: Truth) -> None:
    table = Table("check", "compared", "differences", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for check in checks:
        mark = (
            f"[green]{check.difference_count:,}[/]"
            if check.is_good
            else f"[bold red]{check.difference_count:,}[/]"
        )
        note = f" [dim]({escape(check.note)})[/]" if check.note else ""
        table.add_row(escape(check.name) + note, f"{check.compared:,}", mark)
    out.print(table)
    for check in checks:
        if not check.is_good:
            out.print(f"\n[bold]{escape(check.name)}[/]")
            for difference in check.differences:
                out.print(f"  {escape(difference)}")
    out.print(f"\n{_verdict(checks, truth)}")


def _verdict(checks: list[Check], truth: Truth) -> str:
    differences = sum(check.difference_count for check in checks)
    if not differences:
        return f"run {truth.run}: 0 differences"
    text = f"run {truth.run}: {differences:,} differences"
    if any(check.note for check in checks) and truth.plan["key"] == "none":
        text += "\nRepeats that reached another partition count until `postloop reconcile` has repaired the rollups."
    return text


def _print_json(checks: list[Check], truth: Truth) -> None:
    print_json(
        {
            "run": truth.run,
            "ok": all(check.is_good for check in checks),
            "events": truth.events,
            "dead_letters": truth.dead_letters,
            "difference_count": sum(check.difference_count for check in checks),
            "checks": [asdict(check) for check in checks],
        }
    )
