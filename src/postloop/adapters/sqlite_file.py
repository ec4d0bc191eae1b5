"""A file of SQLite as local state: opened or made anew, and written in whole transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from postloop.domain.errors import PostloopError


class StoreError(PostloopError):
    """The file cannot be used: no room, no rights, or another process holds it."""


def open_file(path: Path, *, schema: str, cache_pages: int) -> sqlite3.Connection:
    """Return a connection to a file with this schema; what is no such file is made anew.

    The file is an image of a topic, so a torn one is thrown away, and a power cut may take the last transactions. The
    end of the process takes none.

    Args:
        cache_pages: Pages of 4 KiB that may stay in memory.

    Raises:
        StoreError: The file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}") from error
    try:
        return _opened(path, schema, cache_pages)
    except sqlite3.DatabaseError:
        # Not ours, or torn: the topic has everything.
        path.unlink(missing_ok=True)
        return _opened(path, schema, cache_pages)


@contextmanager
def transaction(db: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Cursor]:
    """Write everything inside, or nothing.

    Raises:
        StoreError: There is no room.
    """
    try:
        with closing(db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            cursor.execute("COMMIT")
    except BaseException as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"{path} cannot be written: {error}") from error
        raise


def _opened(path: Path, schema: str, cache_pages: int) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = {cache_pages}")
        db.executescript(schema)
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} cannot be used: {error}") from error
    return db
