"""The local state of one partition: a file of SQLite with a time index, rebuilt from a compacted topic when it is gone.

The topic is the truth and the file its image, so nothing is lost with it. Memory stays bounded whatever the number of
items; the next ones that are due are found by index.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self

from postloop.adapters.sqlite_file import StoreError, open_file, transaction

# Rows lie in the order of their writing, and only their keys in a tree: with the rows in it (WITHOUT ROWID) a file of
# 300,000 items was filled in three times the time.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS items (key TEXT PRIMARY KEY, value BLOB NOT NULL, due_ms INTEGER);
CREATE INDEX IF NOT EXISTS items_due ON items (due_ms) WHERE due_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Pages of 4 KiB that one file may hold in memory: 8 MB.
_CACHE_PAGES: Final = 2_000
_KEYS_PER_QUERY: Final = 500
_MAX_INTEGER: Final = 2**63


@dataclass(frozen=True, slots=True)
class Item:
    """One item to write; `value` None deletes it.

    Attributes:
        due_ms: When `due` is to return it, in milliseconds since 1970; None: never.
    """

    key: str
    value: bytes | None
    due_ms: int | None = None

    def checked(self) -> Self:
        """Return the item.

        Raises:
            OverflowError: No file holds such a time.
        """
        if self.due_ms is not None and not -_MAX_INTEGER <= self.due_ms < _MAX_INTEGER:
            raise OverflowError(f"no time: {self.due_ms}")
        return self


class PartitionStore:
    """One open file. Calls block; those of several threads take turns, closing too.

    Args:
        path: The file; made when it is missing.

    Raises:
        StoreError: The file cannot be made, or it was closed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # A task that is cancelled leaves its thread running: closing under it ended the process with SIGSEGV.
        self._turn = threading.Lock()
        self._is_closed = False
        self._db = open_file(path, schema=_SCHEMA, cache_pages=_CACHE_PAGES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file, once a call under way has ended."""
        with self._turn:
            self._is_closed = True
            self._db.close()

    def about(self, name: str) -> str:
        """Return a note about the file, empty when there is none."""
        rows = self._rows("SELECT value FROM about WHERE name = ?", [name])
        return str(rows[0][0]) if rows else ""

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values of those keys that exist."""
        found: dict[str, bytes] = {}
        for first in range(0, len(keys), _KEYS_PER_QUERY):
            part = keys[first : first + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            found.update(self._rows(f"SELECT key, value FROM items WHERE key IN ({marks})", part))  # noqa: S608
        return found

    def due(self, now_ms: int, *, limit: int) -> list[tuple[str, bytes]]:
        """Return the items that are due, the longest due first."""
        query = "SELECT key, value FROM items WHERE due_ms <= ? ORDER BY due_ms LIMIT ?"
        return self._rows(query, [now_ms, limit])

    def due_from(self, due_ms: int, *, after: str, limit: int) -> list[tuple[int, str, bytes]]:
        """Return (due_ms, key, value) of items that are due at this time, behind a key, or later, in that order."""
        query = (
            "SELECT due_ms, key, value FROM items WHERE due_ms >= ? AND (due_ms > ? OR key > ?) "
            "ORDER BY due_ms, key LIMIT ?"
        )
        return self._rows(query, [due_ms, due_ms, after, limit])

    def beginning(self, prefix: str, *, limit: int, after: str = "") -> list[tuple[str, bytes]]:
        """Return the items whose keys begin like this and come after a key, by key."""
        query = "SELECT key, value FROM items WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?"
        return self._rows(query, [prefix, _behind(prefix), after, limit])

    def next_due_ms(self) -> int | None:
        """Return when the next item is due."""
        ((due_ms,),) = self._rows("SELECT min(due_ms) FROM items WHERE due_ms IS NOT NULL", [])
        return None if due_ms is None else int(due_ms)

    def apply(self, items: Iterable[Item], **about: object) -> None:
        """Write items and notes, all or none of them.

        Raises:
            StoreError: There is no room.
        """
        written, deleted = [], []
        for item in items:
            if item.value is None:
                deleted.append((item.key,))
            else:
                written.append((item.key, item.value, item.due_ms))
        # In the order of the tree: ten thousand at once take two thirds of the processor time.
        written.sort(key=itemgetter(0))
        with self._use(), transaction(self._db, self._path) as cursor:
            cursor.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", written)
            cursor.executemany("DELETE FROM items WHERE key = ?", deleted)
            cursor.executemany(
                "INSERT OR REPLACE INTO about VALUES (?, ?)", [(k, str(v)) for k, v in about.items()]
            )

    def clear(self) -> None:
        """Forget everything."""
        with self._use():
            self._db.execute("DELETE FROM items")
            self._db.execute("DELETE FROM about")

    def count(self, prefix: str) -> int:
        """Return how many keys begin like this."""
        query = "SELECT count(*) FROM items WHERE key >= ? AND key < ?"
        return int(self._rows(query, [prefix, _behind(prefix)])[0][0])

    def _rows(self, query: str, parameters: Sequence[object]) -> list[Any]:
        with self._use():
            return self._db.execute(query, parameters).fetchall()

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._turn:
            if self._is_closed:
                raise StoreError(f"{self._path} is closed")
            yield


def _behind(prefix: str) -> str:
    """Return what all keys with a prefix come before."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
