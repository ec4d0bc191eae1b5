"""`postloop migrate` on the real engine: twice, broken off, changed, newer; the cluster form as far as it parses."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from postloop.adapters import migrations
from postloop.adapters.errors import RefusedError
from postloop.adapters.migration_render import Layout, Migration, MigrationError
from postloop.adapters.reader_roles import ACCOUNT_ROLE, ACCOUNT_VIEWS, role_statements
from postloop.cli.main import app
from postloop.settings import Settings
from tests.support.database import Database, bare_database, event, migrated_database, open_client, server_url
from tests.support.processes import wait_until


def tables(db: Database) -> set[str]:
    return {
        row["name"] for row in db.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    }


def definition(db: Database, table: str) -> str:
    return str(
        db.one(
            f"SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = '{table}'"
        )
    )


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(db: Database, *arguments: str) -> Any:
        monkeypatch.setenv("POSTLOOP_CLICKHOUSE_URL", server_url())
        monkeypatch.setenv("POSTLOOP_CLICKHOUSE_DATABASE", db.name)
        return CliRunner().invoke(app, arguments)

    return run


def test_a_second_run_changes_nothing() -> None:
    db = bare_database()
    labels = [migration.label for migration in migrations.migrations()]
    assert migrations.apply(db.client, db.settings).migrations == labels
    before = db.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    again = migrations.apply(db.client, db.settings)
    assert (again.migrations, again.retention) == ([], [])
    assert (
        db.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
        )
        == before
    )
    assert migrations.check_schema(db.client, db.settings) == []


@pytest.mark.parametrize("broken_at", [1, 5, 12, 16, 23, 25])
def test_a_migration_that_broke_off_is_finished_by_running_it_again(broken_at: int) -> None:
    db = bare_database()
    statements = [text for migration in migrations.migrations() for text in migration.statements(Layout())]
    for statement in statements[:broken_at]:
        db.client.command(statement)
    assert migrations.check_schema(db.client, db.settings)
    migrations.apply(db.client, db.settings)
    assert migrations.check_schema(db.client, db.settings) == []
    assert tables(db) == tables(migrated_database())


def test_a_refused_statement_leaves_its_migration_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    db = bare_database()
    known = migrations.migrations()
    broken = Migration(
        len(known) + 1,
        "broken",
        "CREATE TABLE IF NOT EXISTS ok (a Int8) ENGINE = Null; SELECT nonsense()",
        {},
    )
    monkeypatch.setattr(migrations, "migrations", lambda: (*known, broken))
    with pytest.raises(RefusedError, match="nonsense"):
        migrations.apply(db.client, db.settings)
    assert [migration.label for migration in migrations.pending(db.client, db.settings)] == [broken.label]
    assert f"migration {broken.label} is not applied: run `postloop migrate`" in migrations.check_schema(
        db.client, db.settings
    )


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    db = migrated_database()
    first, *others = migrations.migrations()
    changed = Migration(first.version, first.name, first.text + "-- edited\n", first.parts)
    monkeypatch.setattr(migrations, "migrations", lambda: (changed, *others))
    with pytest.raises(MigrationError, match=f"{first.label} was changed after it was applied"):
        migrations.apply(db.client, db.settings)


def test_a_newer_database_is_refused(cli: Callable[..., Any]) -> None:
    db = migrated_database()
    db.client.command("INSERT INTO schema_migrations VALUES (99, 'future', 'x', now64(3), 'me')")
    with pytest.raises(MigrationError, match="newer than this Postloop: it has migration 0099_future"):
        migrations.pending(db.client, db.settings)
    result = cli(db, "migrate")
    assert result.exit_code == 4
    assert "newer than this Postloop" in result.stderr


def test_a_gap_is_refused() -> None:
    db = migrated_database()
    db.client.command("ALTER TABLE schema_migrations DELETE WHERE version = 1 SETTINGS mutations_sync = 1")
    with pytest.raises(MigrationError, match="0001_events_and_rollups was skipped"):
        migrations.pending(db.client, db.settings)


def test_retention_follows_the_settings_and_is_changed_only_where_it_differs() -> None:
    db = migrated_database()
    longer = Settings(clickhouse_database=db.name, minute_retention=timedelta(days=50))
    assert migrations.plan(db.client, longer).retention == [
        "ALTER TABLE rollup_minute MODIFY TTL bucket + toIntervalSecond(4320000)"
    ]
    assert "toIntervalSecond(4320000)" not in definition(db, "rollup_minute")
    assert len(migrations.ensure_retention(db.client, longer)) == 1
    assert "TTL bucket + toIntervalSecond(4320000)" in definition(db, "rollup_minute")
    assert migrations.ensure_retention(db.client, longer) == []


def test_parts_of_the_hours_are_merged_by_their_age_too() -> None:
    db = migrated_database()
    assert "min_age_to_force_merge_seconds = 86400" in definition(db, "rollup_hour")
    db.client.command("ALTER TABLE rollup_hour MODIFY SETTING min_age_to_force_merge_seconds = 1")
    at = datetime.now(UTC)
    for count in (200, 20, 2):
        db.insert([event("delivered", at, message_id=f"m{count}-{number}") for number in range(count)])
    own = "active AND table = 'rollup_hour' AND database = currentDatabase()"
    parts = f"SELECT count() FROM system.parts WHERE {own}"
    wait_until(lambda: db.one(parts) == 1, timeout_s=60, what="one part is left")


@pytest.mark.parametrize("table", ["events", "rollup_minute", "rollup_hour"])
def test_a_memory_of_tokens_that_is_too_short_is_a_problem(table: str) -> None:
    db = migrated_database()
    db.client.command(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 100")
    (problem,) = migrations.check_schema(db.client, db.settings)
    assert problem.startswith(
        f"non_replicated_deduplication_window of table {table} is 100, at least 100000 is needed"
    )


def test_an_engine_without_roles_gives_a_notice_and_no_error() -> None:
    db = bare_database()
    (notice,) = migrations.apply(db.client, db.settings).notices
    assert "the roles postloop_reader and postloop_account_reader were not made" in notice


def test_a_reader_needs_rights_on_the_views_only() -> None:
    db = migrated_database()
    names = migrations.views(db.client)
    assert {"v_open_rate", "v_open_rate_at", "v_freshness"} <= set(names)
    assert all("SQL SECURITY DEFINER" in definition(db, name) for name in names)


def test_the_role_for_accounts_reads_nothing_that_is_of_no_single_account() -> None:
    db = migrated_database()
    names = migrations.views(db.client)
    granted = {
        statement.split(".")[1].split()[0]
        for statement in role_statements(Layout(), database=db.name, views=names)
        if statement.startswith("GRANT") and statement.endswith(f" TO {ACCOUNT_ROLE}")
    }
    assert {name.removesuffix("_at") for name in granted} == ACCOUNT_VIEWS
    for name in ACCOUNT_VIEWS:
        columns = {row["name"] for row in db.query(f"DESCRIBE {name}")}
        assert "account_id" in columns, name
        assert not columns & {"cause_account_ids", "source_event_ids", "smtp_text"}, name


def test_the_cluster_form_is_understood_by_the_engine() -> None:
    db = bare_database()
    layout = Layout(cluster="prod")
    for statement in (text for migration in migrations.migrations() for text in migration.statements(layout)):
        db.client.command(f"EXPLAIN AST {statement}")
    for text in role_statements(layout, database="default", views=["v_open_rate", "v_open_rate_at"]):
        db.client.command(f"EXPLAIN AST {text}")


def test_the_dry_run_prints_sql_that_makes_the_schema_and_runs_none_of_it(cli: Callable[..., Any]) -> None:
    db = bare_database()
    result = cli(db, "migrate", "--dry-run", "--json")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown["database"] == []
    assert tables(db) == set()
    for migration in shown["pending"]:
        for statement in migration["statements"]:
            db.client.command(statement)
    assert "events" in tables(db)
    assert len(shown["retention"]) == 7
    text = cli(db, "migrate", "--dry-run").stdout
    assert re.search(r"^-- 0001_events_and_rollups$", text, re.MULTILINE)


def test_the_dry_run_of_a_database_that_is_missing_begins_with_it_and_makes_none(
    cli: Callable[..., Any],
) -> None:
    db = bare_database()
    db.client.command(f"DROP DATABASE {db.name}")
    result = cli(db, "migrate", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"-- database\nCREATE DATABASE IF NOT EXISTS `{db.name}`;\n")
    shown = json.loads(cli(db, "migrate", "--dry-run", "--json").stdout)
    assert [one["migration"] for one in shown["pending"]] == [one.label for one in migrations.migrations()]
    assert len(shown["retention"]) == 7
    databases = open_client().query("SELECT name FROM system.databases").result_rows
    assert (db.name,) not in [tuple(row) for row in databases]


def test_the_command_says_what_it_did_and_makes_the_database(cli: Callable[..., Any]) -> None:
    db = bare_database()
    db.client.command(f"DROP DATABASE {db.name}")
    done = json.loads(cli(db, "migrate", "--json").stdout)
    assert done["applied"] == [migration.label for migration in migrations.migrations()]
    again = cli(db, "migrate")
    assert again.exit_code == 0
    assert "up to date" in again.stderr
