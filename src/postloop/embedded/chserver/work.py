"""The blocking side: what the threads do with the engine."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from postloop.embedded.chserver.compression import Encoder
from postloop.embedded.chserver.datafile import data_file
from postloop.embedded.chserver.engine import Engine, Result, Scope, Session, quoted
from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.query_ids import ID_SETTING
from postloop.embedded.chserver.sessions import SessionState
from postloop.embedded.chserver.statement import Kind, Statement

_IN_MEMORY_BYTES = 16 * 1024 * 1024
_NOT_STREAMED = "Streaming query is not supported"


@dataclass(frozen=True)
class Plan:
    """A statement, ready to run."""

    statement: Statement
    sql: bytes
    output_format: str
    scope: Scope


class Blocks:
    """A result, block by block. Close it in the end, wherever it stopped."""

    def __init__(self, session: Session, first: Result | None, *, has_more: bool) -> None:
        self._session = session
        self._ready = first
        self._has_more = has_more
        self.total = Result(b"")

    def next(self) -> Result | None:
        """Return the next block; None at the end."""
        block, self._ready = self._ready, None
        if block is None and self._has_more:
            block = self._session.fetch()
        self._has_more = self._has_more and block is not None
        if block is not None:
            self.total = Result(
                b"",
                rows=self.total.rows + block.rows,
                read_rows=self.total.read_rows + block.read_rows,
                read_bytes=self.total.read_bytes + block.read_bytes,
            )
        return block

    def close(self) -> None:
        """Drop the connection, and what is left of the result."""
        self._session.close()


def _first_block(session: Session, plan: Plan) -> tuple[Result | None, bool]:
    if plan.statement.is_streamable(plan.output_format):
        try:
            session.start(plan.sql, plan.output_format)
            return session.fetch(), True
        except QueryError as error:
            if _NOT_STREAMED not in error.text:
                raise
    return session.run(plan.sql, plan.output_format), False


def open_blocks(engine: Engine, plan: Plan) -> Blocks:
    """Start a statement and wait for its first block: an early error must not look like a broken result."""
    session = engine.connect(plan.scope)
    try:
        session.prepare()
        first, has_more = _first_block(session, plan)
    except BaseException:
        session.close()
        raise
    return Blocks(session, first, has_more=has_more)


def gather(blocks: Blocks, encoder: Encoder) -> tuple[IO[bytes], Result]:
    """Make the whole result before anything of it is sent; a large one waits on disk."""
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - the reply closes it
    try:
        while block := blocks.next():
            spool.write(encoder.feed(block.output))
        spool.write(encoder.finish())
    except BaseException:
        spool.close()
        raise
    finally:
        blocks.close()
    return spool, blocks.total


def next_piece(blocks: Blocks, encoder: Encoder) -> bytes | None:
    """Return what to send next, maybe nothing yet; None at the end."""
    block = blocks.next()
    return None if block is None else encoder.feed(block.output)


def run_insert(engine: Engine, plan: Plan, text: bytes) -> Result:
    """Store the data behind an INSERT."""
    head = plan.statement.insert
    if head is None:
        with engine.session(plan.scope) as session:
            return session.run(plan.sql, plan.output_format)
    with data_file(memoryview(text)[head.data_start :]) as path, engine.session(plan.scope) as session:
        return session.run(head.reading_from(path), plan.output_format)


def changed_settings(session: Session) -> dict[str, str]:
    """Return the settings of a connection that differ from the engine's defaults."""
    lines = session.run(b"SELECT name, value FROM system.settings WHERE changed", "JSONCompactEachRow").output
    return {name: value for name, value in map(json.loads, lines.splitlines()) if name != ID_SETTING}


def run_for_session(
    engine: Engine, plan: Plan, baseline: Mapping[str, str], state: SessionState
) -> SessionState:
    """Run SET or USE and return what later requests of the session begin with."""
    with engine.session(plan.scope) as session:
        session.run(plan.sql, plan.output_format)
        if plan.statement.kind is Kind.USE:
            database = (
                session.run(b"SELECT currentDatabase()", "TabSeparatedRaw").output.decode().rstrip("\n")
            )
            return SessionState(state.settings, database)
        changed = changed_settings(session)
    kept = {
        name: value for name, value in changed.items() if baseline.get(name) != value and name != "readonly"
    }
    return SessionState(kept, state.database)


def running_ids(engine: Engine) -> frozenset[str]:
    """Return the query ids that the engine is running."""
    sql = f"SELECT Settings['{ID_SETTING}'] FROM system.processes".encode()  # noqa: S608 - a constant
    with engine.session(Scope()) as session:
        return frozenset(session.run(sql, "TabSeparatedRaw").output.decode(errors="replace").splitlines())


def cancel(engine: Engine, query_id: str) -> None:
    """End a running query, if it still runs."""
    sql = f"KILL QUERY WHERE Settings['{ID_SETTING}'] = {quoted(query_id)} ASYNC".encode()
    with engine.session(Scope()) as session:
        session.run(sql, "Null")
