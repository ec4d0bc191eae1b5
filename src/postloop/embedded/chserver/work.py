"""The blocking side: what the threads do with the engine."""

import json
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from postloop.embedded.chserver.compression import Encoder
from postloop.embedded.chserver.datafile import data_file
from postloop.embedded.chserver.engine import (
    NICE_SETTING,
    NICE_VALUES,
    Engine,
    Result,
    Scope,
    Session,
    quoted,
)
from postloop.embedded.chserver.errors import QueryError
from postloop.embedded.chserver.query_ids import ID_SETTING
from postloop.embedded.chserver.sessions import SessionState
from postloop.embedded.chserver.statement import Kind, Statement

_PIECE_BYTES = 1024 * 1024
_SHORT_BYTES = 64 * 1024
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
    """A result, block by block. Close it in the end, wherever it stopped.

    Attributes:
        is_whole: Nothing is left in the engine; the blocks that are held are all there are.
        is_closed: The connection was dropped.
    """

    def __init__(self, session: Session, held: Iterable[Result], *, is_whole: bool) -> None:
        self._session = session
        self._held = deque(held)
        self.is_whole = is_whole
        self.is_closed = False
        self.total = Result(b"")

    @property
    def is_short(self) -> bool:
        """Whether the whole result is here and so short that nobody waits while it is packed."""
        return self.is_whole and sum(len(block.output) for block in self._held) <= _SHORT_BYTES

    def next(self) -> Result | None:
        """Return the next block; None at the end."""
        block = self._held.popleft() if self._held else None if self.is_whole else self._session.fetch()
        if block is None:
            self.is_whole = True
            return None
        self.total = Result(
            b"",
            rows=self.total.rows + block.rows,
            read_rows=self.total.read_rows + block.read_rows,
            read_bytes=self.total.read_bytes + block.read_bytes,
        )
        return block

    def close(self) -> None:
        """Drop the connection, and what is left of the result."""
        if not self.is_closed:
            self.is_closed = True
            self._session.close()


def _first_blocks(session: Session, plan: Plan) -> tuple[list[Result], bool]:
    """Return what fits into one piece of an answer, and whether that is all: it is where blocks cannot be had.

    ClickHouse fills a buffer of this size, too, before it sends. Most results are done then: they are answered at once
    and whole, with their size and their counts.
    """
    if plan.statement.is_streamable(plan.output_format):
        try:
            session.start(plan.sql, plan.output_format)
            blocks: list[Result] = []
            size = 0
            while size < _PIECE_BYTES:
                block = session.fetch()
                if block is None:
                    return blocks, True
                blocks.append(block)
                size += len(block.output)
            return blocks, False
        except QueryError as error:
            if _NOT_STREAMED not in error.text:
                raise
    return [session.run(plan.sql, plan.output_format)], True


def open_blocks(engine: Engine, plan: Plan) -> Blocks:
    """Start a statement and wait for its first piece: an early error must not look like a broken result."""
    session = engine.connect(plan.scope)
    try:
        session.prepare()
        blocks, is_whole = _first_blocks(session, plan)
    except BaseException:
        session.close()
        raise
    opened = Blocks(session, blocks, is_whole=is_whole)
    if is_whole:
        opened.close()
    return opened


def gather(blocks: Blocks, encoder: Encoder) -> tuple[IO[bytes], Result]:
    """Make the whole result before anything of it is sent; a large one waits on disk."""
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - the reply closes it
    try:
        for piece in _packed(blocks, encoder):
            spool.write(piece)
    except BaseException:
        spool.close()
        raise
    finally:
        blocks.close()
    return spool, blocks.total


def pack(blocks: Blocks, encoder: Encoder) -> bytes:
    """Return a short result as it is sent."""
    return b"".join(_packed(blocks, encoder))


def _packed(blocks: Blocks, encoder: Encoder) -> Iterator[bytes]:
    while block := blocks.next():
        yield encoder.feed(block.output)
    yield encoder.finish()


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
    if changed.get(NICE_SETTING) in NICE_VALUES:
        del changed[NICE_SETTING]  # each request gets it anew
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
