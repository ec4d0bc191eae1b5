"""A migrated ClickHouse database of its own for a test, and rows of `events` to put into it.

One embedded server serves the whole test run, unless POSTLOOP_TEST_CLICKHOUSE_URL names another.
"""

import atexit
import itertools
import os
import shutil
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from postloop.adapters import migrations
from postloop.adapters.clickhouse import connect
from postloop.settings import Settings
from tests.support.ports import free_port
from tests.support.processes import ChildProcess, python_module, wait_until

Row = dict[str, Any]
# As the recorder says them, see `adapters.run_store`.
_EXACT = {
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "optimize_on_insert": 0,
    "enable_analyzer": 0,
}


@cache
def server_url() -> str:
    """Return the address of the test server, started at the first call and ended with the test run."""
    if address := os.environ.get("POSTLOOP_TEST_CLICKHOUSE_URL"):
        return address
    directory, port = Path(tempfile.mkdtemp(prefix="postloop-test-")), free_port()
    server = clickhouse_server(directory / "data", port).start()
    atexit.register(_end, server, directory)
    wait_until(lambda: _answers(port), timeout_s=60, what="the test server answers", process=server)
    return f"http://127.0.0.1:{port}"


def clickhouse_server(path: Path, port: int, *options: str) -> ChildProcess:
    """Return an embedded server over a directory, not yet started; its log is beside the directory."""
    argv = ("--path", str(path), "--port", str(port), *options)
    return python_module("postloop.embedded.chserver", *argv, log_path=path.with_suffix(".log"))


def copy_migrated(path: Path) -> Path:
    """Make the files of a server at `path` whose default database has the current schema, and return it.

    Migrating takes three seconds of processor time, a copy (1.5 MB) next to none.
    """
    return Path(shutil.copytree(_migrated_directory(), path, symlinks=True))


@cache
def _migrated_directory() -> Path:
    directory, port = Path(tempfile.mkdtemp(prefix="postloop-test-migrated-")), free_port()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with clickhouse_server(directory / "clickhouse", port) as server:
        wait_until(lambda: _answers(port), timeout_s=60, what="the server to migrate answers", process=server)
        settings = Settings(clickhouse_url=f"http://127.0.0.1:{port}")
        migrations.apply(connect(settings), settings)
        server.terminate()
    return directory / "clickhouse"


def open_client(database: str = "default") -> Client:
    """Return one more connection to the test server."""
    url = urlsplit(server_url())
    return clickhouse_connect.get_client(
        host=url.hostname, port=url.port, database=database, autogenerate_session_id=False
    )


def _answers(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).status == 200
    except OSError:
        return False


def _end(server: ChildProcess, directory: Path) -> None:
    server.terminate()
    shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Database:
    """A database with the current schema; rows get ids, places and times by themselves."""

    name: str
    client: Client
    settings: Settings
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def connect(self) -> Client:
        """Return another connection, for a thread of its own."""
        return open_client(self.name)

    def insert(
        self, rows: Iterable[Row], *, client: Client | None = None, token: str = "", **settings: Any
    ) -> None:
        """Store rows of `events` in one insert."""
        filled = [self._filled(row) for row in rows]
        names = list(dict.fromkeys(itertools.chain.from_iterable(filled)))
        (client or self.client).insert(
            "events",
            [[row.get(name, _EMPTY.get(name, "")) for name in names] for row in filled],
            column_names=names,
            settings={
                **_EXACT,
                "insert_deduplication_token": token or str(uuid.uuid4()),
                "log_comment": "postloop-recorder test",
                **settings,
            },
        )

    def query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return rows as dictionaries."""
        return list(self.client.query(sql, parameters=parameters).named_results())

    def one(self, sql: str, **parameters: Any) -> Any:
        """Return the first value of the first row."""
        return self.client.query(sql, parameters=parameters).first_row[0]

    def _filled(self, row: Row) -> Row:
        number = next(self._numbers)
        at = row["occurred_at"]
        return {
            "topic": f"email.{row['event_type']}",
            "topic_id": "t",
            "partition": 0,
            "offset": number,
            "index": 0,
            "run_id": "run",
            "record_at": at,
            "stored_at": at + timedelta(seconds=1),
            "event_id": f"e{number}",
            "account_id": "acme",
            "sender_domain": "mail.acme.test",
            "message_id": f"m{number}",
            "recipient": f"r{number}@example.org",
            "mailbox_provider": "gmail",
            "mail_class": "marketing",
            "ip_pool": "pool-1",
            "ip_pool_kind": "shared",
            **row,
        }


class Snapshot:
    """What the tables of a database hold, to be put back: a tenth of what migrating and storing it again costs."""

    def __init__(self, database: Database) -> None:
        self._client, self._name, self._saved = database.client, database.name, f"{database.name}_saved"
        self._client.command(f"CREATE DATABASE {self._saved}")
        self._tables = [
            row["name"]
            for row in database.query(
                "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
            )
        ]
        for table in self._tables:
            self._client.command(f"CREATE TABLE {self._saved}.{table} AS {self._name}.{table}")
            self._attach(table, into=self._saved, of=self._name)

    def restore(self) -> None:
        """Put back what the tables held; no feed runs."""
        for table in self._tables:
            self._client.command(f"TRUNCATE TABLE {self._name}.{table}")
            self._attach(table, into=self._name, of=self._saved)

    def _attach(self, table: str, *, into: str, of: str) -> None:
        active = f"database = '{of}' AND table = '{table}' AND active"
        query = f"SELECT DISTINCT partition_id FROM system.parts WHERE {active}"
        for (partition,) in self._client.query(query).result_rows:
            self._client.command(
                f"ALTER TABLE {into}.{table} ATTACH PARTITION ID '{partition}' FROM {of}.{table}"
            )


_EMPTY: dict[str, Any] = {"sent_at": None, "reports_complaints": False, "hard": False, "smtp_code": 0}


def event(kind: str, at: datetime, **columns: Any) -> Row:
    """Return a row of `events`: `kind` is an outcome, or `human`, `machine` for opens."""
    types = {
        "accepted": "send", "rejected": "send", "suppressed": "send", "delivered": "delivery",
        "hard_bounce": "bounce", "soft_bounce": "bounce", "deferral": "bounce", "complaint": "complaint",
        "not_spam": "complaint", "unsubscribe": "unsubscribe", "human": "open", "machine": "open",
    }  # fmt: skip
    is_open = types[kind] == "open"
    return {
        "event_type": types[kind],
        "occurred_at": at,
        "outcome": "open" if is_open else kind,
        "open_kind": kind if is_open else "",
        **columns,
    }


def bare_database(make_settings: Callable[..., Settings] = Settings) -> Database:
    """Return a database without tables."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    open_client().command(f"CREATE DATABASE {name}")
    return Database(
        name, open_client(name), make_settings(clickhouse_database=name, clickhouse_url=server_url())
    )


def migrated_database() -> Database:
    """Return a database with the current schema: a copy of one that was migrated, in half the time."""
    template, statements = _template()
    database = bare_database()
    for statement in statements:
        database.client.command(statement.replace(template, database.name))
    database.client.command(f"INSERT INTO schema_migrations SELECT * FROM {template}.schema_migrations")
    return database


@cache
def _template() -> tuple[str, list[str]]:
    """Return the name of a migrated database and the statements that make its tables, feeds and views."""
    database = bare_database()
    migrations.apply(database.client, database.settings)
    rows = database.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() "
        "ORDER BY indexOf(['View', 'MaterializedView'], engine) != 0, engine, name"
    )
    return database.name, [row["create_table_query"] for row in rows]


def recently(**before: float) -> datetime:
    """Return an instant in the middle of a past hour that no retention has reached."""
    now = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
    return now - timedelta(hours=5) - timedelta(**before)
