"""The ClickHouse engine in this process: one engine, a fresh connection for every statement.

A connection costs 0.2 ms and takes settings, the current database and whatever a failed statement left behind
with it when it closes. Measured on 26.5: a connection on which a statement failed keeps that statement in
`system.processes` (KILL ... SYNC waits for it for ever) and puts its half-written output in front of the next
result. So nothing is reused.
"""

import fcntl
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.configuration import WrongUsageError
from postloop.embedded.chserver.errors import QueryError

_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
# `SELECT` may be left out on the engine's command line, not on a server. Inserts are answered when stored.
_SERVER_DEFAULTS = {"implicit_select": "0", "async_insert": "0"}
# The engine never deletes dropped tables while it runs, so a DROP that waits for that waits for ever.
_NEVER_WAIT = {"database_atomic_wait_for_drop_and_detach_synchronously": "0"}
# The engine's `priority` makes queries wait for others between two blocks, inserts and merges not at all: a page that
# took 0.15 s of an idle server took 0.65 s beside 500 events a second. So threads get nice values by it, as far as the
# system lets the engine (CAP_SYS_NICE). The loop that reads requests has 0.
NICE_SETTING = "os_thread_priority"
_NICE_BY_PRIORITY = {"1": "-10", "2": "15"}
_NICE_OF_OTHERS = "5"
NICE_VALUES = frozenset({*_NICE_BY_PRIORITY.values(), _NICE_OF_OTHERS})
"""Those that no client asked for."""
_NICE_OF_MERGES = 15

# Errors are counted for the whole server; one whose message is not UTF-8 is rare enough to be known by that.
_LAST_UNDECODABLE_ERROR = """
    SELECT format('Code: {}. DB::Exception: {} ({})', code, last_error_message, name) FROM system.errors
    WHERE NOT isValidUTF8(last_error_message) AND last_error_time >= now() - 10
    ORDER BY last_error_time DESC LIMIT 1
"""


def quoted(text: str) -> str:
    """Return text as a ClickHouse string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@dataclass(frozen=True)
class Scope:
    """What applies to one statement only."""

    settings: Mapping[str, str] = field(default_factory=dict)
    database: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False


@dataclass(frozen=True)
class Result:
    """A finished statement: its output and what the engine counted."""

    output: bytes
    rows: int = 0
    read_rows: int = 0  # from tables and files
    read_bytes: int = 0
    input_bytes: int = 0  # of an insert's data, as read by its format; `rows` counts its rows


class Session:
    """One connection, for one statement, used by one thread at a time."""

    def __init__(self, connect: Callable[[], Any], scope: Scope) -> None:
        self._connect = connect
        self._connection = connect()
        self._scope = scope
        self._stream: Any = None

    def prepare(self) -> None:
        """Apply the settings and the database of the statement."""
        settings = _SERVER_DEFAULTS | dict(self._scope.settings) | _NEVER_WAIT
        nice = _NICE_BY_PRIORITY.get(settings.get("priority", ""), _NICE_OF_OTHERS)
        settings.setdefault(NICE_SETTING, nice)
        if self._scope.read_only:
            # As ClickHouse does for GET: reads and settings only.
            settings["readonly"] = "2"
        for name in settings:
            if not _SETTING_NAME.fullmatch(name):
                raise QueryError(errors.UNKNOWN_SETTING, f"Unknown setting '{name}'.")
        if self._scope.database:
            name = self._scope.database.replace("\\", "\\\\").replace("`", "\\`")
            self._call("query", f"USE `{name}`".encode(), "TabSeparated")
        self._call(
            "query",
            ("SET " + ", ".join(f"{k} = {quoted(v)}" for k, v in settings.items())).encode(),
            "TabSeparated",
        )

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._connection, method)(*arguments, **named)
        except (RuntimeError, UnicodeDecodeError) as error:
            raise self._reported(error) from error

    def _reported(self, error: RuntimeError | UnicodeDecodeError) -> errors.QueryError:
        """Return what the engine reported, also where its binding lost the message."""
        if not errors.is_wordless(error):
            return errors.from_engine(error)
        with closing(self._connect()) as fresh:
            found = fresh.query(_LAST_UNDECODABLE_ERROR, "RawBLOB").bytes()
        return errors.from_engine(RuntimeError(found.decode(errors="replace")) if found else error)

    def run(self, sql: bytes, output_format: str) -> Result:
        """Run a statement to its end."""
        result = self._call("query", sql, output_format, params=dict(self._scope.params))
        return Result(
            output=result.bytes(),
            rows=result.rows_read(),
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            input_bytes=result.bytes_read(),
        )

    def start(self, sql: bytes, output_format: str) -> None:
        """Start a SELECT whose blocks are fetched one by one."""
        self._stream = self._call("send_query", sql, output_format, params=dict(self._scope.params))

    def fetch(self) -> Result | None:
        """Return the next block; None at the end."""
        try:
            chunk = self._stream.fetch()
        except (RuntimeError, UnicodeDecodeError) as error:
            raise self._reported(error) from error
        if chunk is None:
            return None
        return Result(output=chunk.bytes(), rows=chunk.rows_read())

    def close(self) -> None:
        """Drop the connection; a result that is still being made is cancelled."""
        self._stream = None
        self._connection.close()


def _check_free(path: Path) -> None:
    """Refuse a directory that another engine holds; the engine itself does not say why it cannot open it."""
    status = path / "status"
    if not status.exists():
        return
    with status.open("rb") as lock:
        try:
            # Given back when the file is closed, right after this.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"The data directory {path} is in use by another process: stop it, or use another --path."
            raise WrongUsageError(text) from error


class Engine:
    """The engine over one data directory. Connections of several threads run side by side."""

    def __init__(self, path: Path, *, max_memory_bytes: int) -> None:
        # The engine's limit is for the process; one query may take three quarters of it.
        self._target = (
            f"{path}?max_server_memory_usage={max_memory_bytes}&database_atomic_delay_before_drop_table_sec=0"
            f"&os_threads_nice_value_merge_mutate={_NICE_OF_MERGES}"
        )
        self._limits = {"max_memory_usage": str(max_memory_bytes * 3 // 4)}
        self._path = path
        self._connect: Any = None
        self._anchor: Any = None
        self.version = ""
        self.timezone = ""

    def open(self) -> None:
        """Open the data directory and answer one query.

        Raises:
            WrongUsageError: the engine is not installed, or another process uses the directory.
        """
        try:
            self._connect = importlib.import_module("chdb").connect
        except ImportError as error:
            raise WrongUsageError(
                "The ClickHouse engine is not installed: pip install 'postloop[embedded]'."
            ) from error
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            _check_free(self._path)
            # Open as long as the process lives: the engine ends with its last connection.
            self._anchor = self._connect(self._target)
        except (OSError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WrongUsageError(f"The data directory {self._path} cannot be opened: {reason}") from error
        with self.session(Scope()) as session:
            answer = session.run(b"SELECT version(), timezone()", "TabSeparated").output.decode()
        self.version, self.timezone = answer.rstrip("\n").split("\t")

    def connect(self, scope: Scope) -> Session:
        """Open a connection. `prepare` it before use, `close` it after."""
        settings = self._limits | dict(scope.settings)
        scoped = Scope(
            settings=settings, database=scope.database, params=scope.params, read_only=scope.read_only
        )
        try:
            return Session(partial(self._connect, self._target), scoped)
        except RuntimeError as error:
            raise errors.from_engine(error) from error

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        """Yield a prepared connection and close it."""
        session = self.connect(scope)
        try:
            session.prepare()
            yield session
        finally:
            session.close()
