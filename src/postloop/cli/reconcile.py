"""`postloop reconcile`: recount from raw events, report and repair differences in the rollups."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from clickhouse_connect.driver.client import Client
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from postloop.adapters.clickhouse import connect
from postloop.adapters.rollup_repair import RepairReport, repair_hours, stored_hours
from postloop.cli.common import (
    AsJson,
    DataDir,
    Exit,
    err,
    guarded,
    out,
    print_json,
    settings_for,
    stop,
    time_option,
)
from postloop.settings import Settings

From = Annotated[
    str,
    typer.Option(
        "--from", metavar="TIME", help="Start of event time, RFC 3339. Default: the oldest raw event."
    ),
]
To = Annotated[
    str, typer.Option("--to", metavar="TIME", help="End of event time. Default: the newest raw event.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Report differences and change nothing; exit 1 if any.")
]
_SHOWN_COUNTERS = 4


def register(app: typer.Typer) -> None:
    """Add `reconcile` to the command line."""
    app.command("reconcile")(reconcile)


def reconcile(
    from_: From = "", to: To = "", dry_run: DryRun = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Recount from raw events without repeated event ids, report differences and repair the rollups.

    Works in whole hours of event time, beside running recorders. Of an event that was stored twice the copy
    that was stored first counts. Without --from and --to everything that raw events remember is compared.

    Example: postloop reconcile --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z --dry-run
    """
    settings = settings_for(data_dir)
    from_at, to_at = _range(from_, to, settings)
    with guarded():
        client = connect(settings, timeout_s=600)
        report = _run(client, from_at=from_at, to_at=to_at, dry_run=dry_run)
    _print_json(report, dry_run=dry_run) if as_json else _print(report, dry_run=dry_run)
    if dry_run and report.differences:
        raise typer.Exit(int(Exit.NO))


def _range(from_: str, to: str, settings: Settings) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    from_at = time_option(from_, "--from") if from_ else now - settings.raw_retention + timedelta(hours=26)
    to_at = time_option(to, "--to") if to else now + timedelta(hours=25)
    if from_at >= to_at:
        raise stop(f"--from ({from_at.isoformat()}) must lie before --to ({to_at.isoformat()})", Exit.USAGE)
    return from_at.replace(minute=0, second=0, microsecond=0), to_at


def _run(client: Client, *, from_at: datetime, to_at: datetime, dry_run: bool) -> RepairReport:
    hours = stored_hours(client, from_at=from_at, to_at=to_at)
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("reconcile", total=len(hours))

        def show(hour: datetime) -> None:
            bar.update(task, description=f"{hour:%Y-%m-%d %H:00}", completed=hours.index(hour))

        return repair_hours(client, hours, dry_run=dry_run, on_hour=show)


def _print_json(report: RepairReport, *, dry_run: bool) -> None:
    differences = [{**asdict(found), "bucket": _utc(found.bucket)} for found in report.differences]
    print_json(
        {
            "dry_run": dry_run,
            "hour_count": len(report.hours),
            "differences": differences,
            "repaired_key_count": report.repaired_key_count,
            "busy_hours": [_utc(hour) for hour in report.busy_hours],
            "notices": report.notices,
        }
    )


def _print(report: RepairReport, *, dry_run: bool) -> None:
    if report.differences:
        table = Table("rollup", "bucket (UTC)", "cube", "rows", "raw events minus rollup")
        for found in report.differences:
            counters = sorted(found.counters.items(), key=lambda item: -abs(item[1]))[:_SHOWN_COUNTERS]
            words = ", ".join(f"{name} {value:+d}" for name, value in counters)
            table.add_row(
                found.table, f"{found.bucket:%Y-%m-%d %H:%M}", found.cube, str(found.key_count), words
            )
        out.print(table)
    for notice in report.notices:
        err.print(f"[yellow]notice:[/] {escape(notice)}")
    for hour in report.busy_hours:
        err.print(
            f"[yellow]busy:[/] {_utc(hour)} kept moving; run again when fewer events of that hour arrive"
        )
    verb = "found" if dry_run else "repaired"
    err.print(
        f"{len(report.hours)} hours compared, {report.difference_count} differing rows of rollups {verb}"
    )


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
