"""`postloop migrate`: bring ClickHouse to the schema of this release."""

from __future__ import annotations

from typing import Annotated

import typer
from clickhouse_connect.driver.client import Client
from rich.markup import escape
from rich.progress import Progress as Bar

from postloop.adapters import migrations
from postloop.adapters.clickhouse import UNKNOWN_DATABASE, connect, translated
from postloop.adapters.errors import RefusedError
from postloop.adapters.migration_render import MigrationError
from postloop.adapters.migrations import Outcome, Progress
from postloop.cli.common import AsJson, DataDir, Exit, err, guarded, print_json, settings_for, stop
from postloop.settings import Settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the SQL that would run, and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add `migrate` to the command line."""
    app.command("migrate")(migrate)


def migrate(dry_run: DryRun = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Create or update the tables and views in ClickHouse; a second run changes nothing.

    Keeps of raw events and rollups what POSTLOOP_RAW_RETENTION, POSTLOOP_MINUTE_RETENTION and
    POSTLOOP_HOUR_RETENTION say, and makes the roles of readers where the server keeps roles.

    Example: postloop migrate --dry-run | less
    """
    settings = settings_for(data_dir)
    with guarded():
        try:
            if dry_run:
                _show(settings, as_json=as_json)
            else:
                _tell(_run(settings), as_json=as_json)
        except MigrationError as error:
            raise stop(str(error), Exit.REFUSED) from None


def _client(settings: Settings) -> Client:
    """Return a client, after making the database where it is missing and not ClickHouse's own default."""
    if settings.clickhouse_database != "default":
        first = connect(settings.model_copy(update={"clickhouse_database": "default"}))
        with translated("the database cannot be created"):
            first.command(migrations.create_database(settings))
            first.close()
    return connect(settings)


def _client_of_present(settings: Settings) -> Client | None:
    """Return a client, None where the database is missing."""
    try:
        return connect(settings)
    except RefusedError as error:
        if error.code == UNKNOWN_DATABASE:
            return None
        raise


def _run(settings: Settings) -> Outcome:
    client = _client(settings)
    with Bar(console=err, transient=True) as bar:
        task = bar.add_task("migrate", total=None)

        def show(progress: Progress) -> None:
            bar.update(task, description=progress.label, completed=progress.done, total=progress.total or 1)

        return migrations.apply(client, settings, on_progress=show)


def _show(settings: Settings, *, as_json: bool) -> None:
    client = _client_of_present(settings)
    plan = migrations.plan(client, settings)
    database = [migrations.create_database(settings)] if client is None else []
    if as_json:
        print_json(
            {
                "database": database,
                "pending": [{"migration": label, "statements": sql} for label, sql in plan.migrations],
                "retention": plan.retention,
            }
        )
        return
    steps = [("database", database), *plan.migrations, ("retention", plan.retention)]
    for label, statements in steps:
        if statements:
            typer.echo(f"-- {label}")
            typer.echo("\n".join(f"{statement};\n" for statement in statements))
    if not any(statements for _, statements in steps):
        err.print("nothing to do: the schema is up to date")


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"applied": outcome.migrations, "retention": outcome.retention, "notices": outcome.notices}
        )
        return
    for label in outcome.migrations:
        err.print(f"applied {label}")
    for statement in outcome.retention:
        err.print(f"retention: {escape(statement)}")
    for notice in outcome.notices:
        err.print(f"[yellow]notice:[/] {escape(notice)}")
    if not outcome.migrations and not outcome.retention:
        err.print("nothing to do: the schema is up to date")
