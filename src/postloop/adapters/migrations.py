"""Bring a ClickHouse database to the schema of this release, forward only, and say what is wrong with one.

Every statement of a migration can run twice. ClickHouse has no transactions around DDL, so a note
"statement 7 is done" could itself be lost between the statement and the note; a migration that broke off is
simply run again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.migration_render import DEDUP_INSERTS, DEDUP_SECONDS, Layout, Migration, MigrationError
from postloop.adapters.reader_roles import ensure_readers
from postloop.settings import Settings

_HAS_TABLE: Final = (
    "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
)
_DEFINITIONS: Final = (
    "SELECT name, create_table_query FROM system.tables "
    "WHERE database = currentDatabase() AND name IN {tables:Array(String)} ORDER BY name"
)
_VIEWS: Final = (
    "SELECT name FROM system.tables "
    "WHERE database = currentDatabase() AND engine = 'View' AND startsWith(name, 'v_') ORDER BY name"
)
# Two runs at the same time remember a version twice; the first one counts.
_APPLIED: Final = (
    "SELECT version, argMin(name, applied_at), argMin(checksum, applied_at) "
    "FROM schema_migrations GROUP BY version ORDER BY version"
)
_REMEMBER: Final = (
    "INSERT INTO schema_migrations "
    "SELECT {version:UInt32}, {name:String}, {checksum:String}, now64(3, 'UTC'), currentUser()"
)
# Tables that insert runs and their views write to: each remembers insert tokens.
_DEDUPLICATED: Final = ("events", "rollup_minute", "rollup_hour")
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_MIGRATIONS_TABLE: Final = """CREATE TABLE IF NOT EXISTS schema_migrations{on_cluster}
(
    version UInt32,
    name String,
    checksum String COMMENT 'SHA-256 of the unrendered file and the parts it uses',
    applied_at DateTime64(3, 'UTC'),
    by String COMMENT 'ClickHouse user'
)
ENGINE = {engine}
ORDER BY version"""


@dataclass(frozen=True)
class Applied:
    """A migration as the database remembers it."""

    version: int
    name: str
    checksum: str


@dataclass
class Outcome:
    """What `apply` did: labels of migrations, retention statements, and what the engine could not do."""

    migrations: list[str] = field(default_factory=list)
    retention: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What `apply` would run: the statements of each migration with its label, then those that set retention."""

    migrations: list[tuple[str, list[str]]]
    retention: list[str]


@dataclass(frozen=True)
class Progress:
    """One step of `apply`: what is being done, and how many of how many statements are behind."""

    label: str
    done: int
    total: int


def layout_of(settings: Settings) -> Layout:
    """Return where the tables live according to the settings."""
    return Layout(cluster=settings.clickhouse_cluster)


@cache
def parts() -> Mapping[str, str]:
    """Return the texts that migrations share, by name without suffix."""
    return dict(_texts(".sql.part"))


@cache
def migrations() -> tuple[Migration, ...]:
    """Return the migrations of this release in order.

    Raises:
        MigrationError: A number is missing or given twice.
    """
    found = []
    for name, text in sorted(_texts("")):
        if match := _FILE.fullmatch(name):
            found.append(Migration(int(match[1]), match[2], text, parts()))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError(f"migration files are not numbered 1, 2, 3, ...: {[m.label for m in found]}")
    return tuple(found)


def pending(client: Client, settings: Settings) -> list[Migration]:
    """Return the migrations that the database still lacks, in order.

    Raises:
        MigrationError: An applied file was changed, one in between is missing, or the database is newer.
    """
    return _missing(applied(client, settings), migrations())


def apply(
    client: Client, settings: Settings, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> Outcome:
    """Run what is pending, then set retention and the reader roles. A second call changes nothing.

    Raises:
        MigrationError: See `pending`.
        RefusedError: ClickHouse refused a statement; run again after the cause is gone.
    """
    layout, outcome = layout_of(settings), Outcome()
    _command(
        client,
        _MIGRATIONS_TABLE.format(
            on_cluster=layout.on_cluster, engine=layout.engine_everywhere("ReplacingMergeTree(applied_at)")
        ),
    )
    todo = [(migration, migration.statements(layout)) for migration in pending(client, settings)]
    done, total = 0, sum(len(statements) for _, statements in todo)
    for migration, statements in todo:
        for statement in statements:
            on_progress(Progress(migration.label, done, total))
            _command(client, statement)
            done += 1
        _remember(client, migration)
        outcome.migrations.append(migration.label)
    on_progress(Progress("retention and reader roles", done, total))
    outcome.retention = ensure_retention(client, settings)
    database = settings.clickhouse_database
    outcome.notices = ensure_readers(client, layout, database=database, views=views(client))
    return outcome


def applied(client: Client, settings: Settings) -> list[Applied]:
    """Return what the database remembers, in order of version; nothing where it was never migrated."""
    if not _rows(client, _HAS_TABLE):
        return []
    return [Applied(*row) for row in _rows(client, _APPLIED)]


def ensure_retention(client: Client, settings: Settings) -> list[str]:
    """Make ClickHouse forget what is older than the settings say; return the statements needed for it."""
    wanted = _retention(settings)
    present = definitions(client, wanted)
    statements = [sql for table, sql in _unmet(wanted, present, settings) if table in present]
    for statement in statements:
        _command(client, statement)
    return statements


def plan(client: Client | None, settings: Settings) -> Plan:
    """Return what `apply` would run; nothing is changed.

    Args:
        client: None where there is no such database yet.

    Raises:
        MigrationError: See `pending`.
    """
    layout, wanted = layout_of(settings), _retention(settings)
    todo = list(migrations()) if client is None else pending(client, settings)
    present = {} if client is None else definitions(client, wanted)
    return Plan(
        migrations=[(migration.label, migration.statements(layout)) for migration in todo],
        # Also of tables that are made first: what they keep is set like that of the others.
        retention=[sql for _, sql in _unmet(wanted, present, settings)],
    )


def create_database(settings: Settings) -> str:
    """Return the statement that makes the database."""
    return f"CREATE DATABASE IF NOT EXISTS `{settings.clickhouse_database}`{layout_of(settings).on_cluster}"


def _unmet(
    wanted: Mapping[str, str], present: Mapping[str, str], settings: Settings
) -> list[tuple[str, str]]:
    """Return the tables that do not forget as is wanted, as far as there are any, each with what changes that."""
    on_cluster = layout_of(settings).on_cluster
    return [
        (table, f"ALTER TABLE {table}{on_cluster} MODIFY TTL {ttl}")
        for table, ttl in wanted.items()
        if f"TTL {ttl}" not in present.get(table, "")
    ]


def _retention(settings: Settings) -> dict[str, str]:
    """Return when rows of which table are forgotten."""
    return {
        "events": _ttl("toDateTime(stored_at)", settings.raw_retention),
        "rollup_minute": _ttl("bucket", settings.minute_retention),
        "rollup_hour": _ttl("bucket", settings.hour_retention),
        "dead_letters": _ttl("toDateTime(at)", settings.raw_retention),
        "dead_letter_redrives": _ttl("toDateTime(redriven_at)", settings.raw_retention),
        "reconcile_queue": _ttl("toDateTime(queued_at)", settings.raw_retention),
        "webhook_attempts": _ttl("toDateTime(at)", settings.raw_retention),
    }


def views(client: Client) -> list[str]:
    """Return the names of the views for dashboards that the database has."""
    return [name for (name,) in _rows(client, _VIEWS)]


def check_schema(client: Client, settings: Settings) -> list[str]:
    """Return what a worker must not start with, one sentence each; nothing when all is well."""
    try:
        problems = [
            f"migration {migration.label} is not applied: run `postloop migrate`"
            for migration in pending(client, settings)
        ]
    except MigrationError as error:
        return [str(error)]
    for table, definition in definitions(client, _DEDUPLICATED).items():
        problems += _narrow_windows(table, definition)
    return problems


def _narrow_windows(table: str, definition: str) -> Iterator[str]:
    """Say which window of remembered insert tokens is smaller than a retry may need."""
    replicated = "ENGINE = Replicated" in definition
    wanted = (
        {
            "replicated_deduplication_window": DEDUP_INSERTS,
            "replicated_deduplication_window_seconds": DEDUP_SECONDS,
        }
        if replicated
        else {"non_replicated_deduplication_window": DEDUP_INSERTS}
    )
    for name, least in wanted.items():
        match = re.search(rf"(?<!\w){name} = (\d+)", definition)
        if match is None or int(match[1]) < least:
            has = match[1] if match else "the default of ClickHouse"
            yield (
                f"{name} of table {table} is {has}, at least {least} is needed: "
                "a repeated insert could count twice"
            )


def _missing(present: list[Applied], known: tuple[Migration, ...]) -> list[Migration]:
    if present and present[-1].version > len(known):
        raise MigrationError(
            f"the database is newer than this Postloop: it has migration "
            f"{present[-1].version:04d}_{present[-1].name}, "
            f"this release knows up to {known[-1].label}; install the newer release"
        )
    by_version = {migration.version: migration for migration in present}
    for migration in known[: len(present)]:
        if migration.version not in by_version:
            raise MigrationError(
                f"migration {migration.label} was skipped: the database has a later one but not this"
            )
        if by_version[migration.version].checksum != migration.checksum:
            raise MigrationError(
                f"migration {migration.label} was changed after it was applied: "
                "restore the file and write a new migration"
            )
    return list(known[len(present) :])


def _ttl(column: str, keep: timedelta) -> str:
    return f"{column} + toIntervalSecond({int(keep.total_seconds())})"


def _texts(suffix: str) -> Iterator[tuple[str, str]]:
    for entry in (files("postloop_schemas") / "clickhouse").iterdir():
        if entry.name.endswith(suffix):
            yield entry.name.removesuffix(suffix) if suffix else entry.name, entry.read_text(encoding="utf-8")


def definitions(client: Client, tables: Iterable[str]) -> dict[str, str]:
    """Return how those of some tables that exist were made; of all of them it takes the server ten times as long."""
    return dict(_rows(client, _DEFINITIONS, tables=sorted(tables)))


def _remember(client: Client, migration: Migration) -> None:
    values = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    _command(client, _REMEMBER, **values)


def _rows(client: Client, query: str, **parameters: object) -> list[tuple[Any, ...]]:
    with translated("the schema cannot be read"):
        return list(client.query(query, parameters=parameters or None).result_rows)


def _command(client: Client, statement: str, **parameters: object) -> None:
    with translated(f"ClickHouse refused `{statement.splitlines()[0]}`"):
        client.command(statement, parameters=parameters or None)
