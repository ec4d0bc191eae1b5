"""`postloop reclassify`: judge stored bounces and rejected sends again by the rules that run now."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from postloop.adapters.clickhouse import connect
from postloop.adapters.migrations import check_schema
from postloop.adapters.reclassify import Reclassified, Scope
from postloop.adapters.reclassify import reclassify as run_reclassify
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
from postloop.domain.bounce import RULES_VERSION
from postloop.settings import Settings

From = Annotated[
    str, typer.Option("--from", metavar="TIME", help="Start of event time, RFC 3339. Default: no start.")
]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="End of event time. Default: no end.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change and change nothing; exit 1 if anything.")
]


def register(app: typer.Typer) -> None:
    """Add `reclassify` to the command line."""
    app.command("reclassify")(reclassify)


def reclassify(
    from_: From = "", to: To = "", dry_run: DryRun = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Classify stored bounces again, find the causes of rejected sends, and put the counts right.

    Without --from and --to everything stored that other rules judged, or none; with one of them everything that
    occurred in the range. Works beside running recorders. Run it again after it was interrupted, never twice at
    the same time. A second run changes nothing.

    Example: postloop reclassify --from 2026-01-02T00:00:00Z --to 2026-01-03T00:00:00Z --dry-run
    """
    settings = settings_for(data_dir)
    scope = Scope(time_option(from_, "--from") if from_ else None, time_option(to, "--to") if to else None)
    if scope.from_at and scope.to_at and scope.from_at >= scope.to_at:
        raise stop(f"--from ({from_}) must lie before --to ({to})", Exit.USAGE)
    with guarded():
        found = _run(settings, scope, dry_run=dry_run)
    _print_json(found, dry_run=dry_run) if as_json else _print(found, dry_run=dry_run)
    if dry_run and (found.changed_count or found.restamped_count):
        raise typer.Exit(int(Exit.NO))


def _run(settings: Settings, scope: Scope, *, dry_run: bool) -> Reclassified:
    client = connect(settings, timeout_s=600)
    if problems := check_schema(client, settings):
        raise stop("; ".join(problems), Exit.REFUSED)
    with Progress(console=err, transient=True) as bar:
        tasks = {what: bar.add_task(what, total=None) for what in ("judge", "repair")}

        def show(what: str, done: int, total: int) -> None:
            bar.update(tasks[what], completed=done, total=total)

        return run_reclassify(client, scope, dry_run=dry_run, on_progress=show)


def _print_json(found: Reclassified, *, dry_run: bool) -> None:
    names = ("event_type", "from", "to", "event_count")
    print_json(
        {
            "dry_run": dry_run,
            "rules_version": RULES_VERSION,
            "judged_count": found.judged_count,
            "changed_count": found.changed_count,
            "restamped_count": found.restamped_count,
            "changes": [
                dict(zip(names, (*change, count), strict=True))
                for change, count in found.changes.most_common()
            ],
            "compared_hour_count": len(found.repairs.hours),
            "repaired_key_count": found.repairs.repaired_key_count,
            "busy_hours": [f"{hour:%Y-%m-%dT%H:%M:%SZ}" for hour in found.repairs.busy_hours],
            "notices": found.repairs.notices,
        }
    )


def _print(found: Reclassified, *, dry_run: bool) -> None:
    if found.changes:
        table = Table("event", "verdict stored", "verdict now", "events")
        for (kind, old, new), count in found.changes.most_common():
            table.add_row(kind, old or "none", new, f"{count:,}")
        out.print(table)
    for notice in found.repairs.notices:
        err.print(f"[yellow]notice:[/] {escape(notice)}")
    for hour in found.repairs.busy_hours:
        err.print(f"[yellow]busy:[/] {hour:%Y-%m-%dT%H:%M:%SZ} kept moving; a recorder compares it later")
    verb = "would change" if dry_run else "changed"
    err.print(
        f"{found.judged_count:,} events judged by rules {RULES_VERSION}: {found.changed_count:,} verdicts {verb}, "
        f"{found.restamped_count:,} only in rule, confidence or version; "
        f"{found.repairs.repaired_key_count:,} rows of rollups repaired in {len(found.repairs.hours):,} hours"
    )
