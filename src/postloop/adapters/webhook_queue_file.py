"""The file of a queue of webhooks: its tables, and the few numbers of it that are kept in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Cursor
from typing import Any, Final, TypeVar
from uuid import UUID

from postloop.adapters.sqlite_file import open_file, transaction
from postloop.contracts.webhook_delivery import DeliveryState, DeliveryV1
from postloop.domain.webhook.dispatch import lane_of

# States of a row. A done one says that its id was delivered; a remembered one says so in the changelog too.
WAITING, DONE, DEAD, REMEMBERED = 0, 1, 2, 3
STATE_NAMES: Final[dict[int, DeliveryState]] = {WAITING: "waiting", DEAD: "dead", REMEMBERED: "remembered"}
STATE_NUMBERS: Final = {name: number for number, name in STATE_NAMES.items()}
# What the changelog has of a row: nothing, the row as it is, an older version of it.
UNLOGGED, LOGGED, STALE = 0, 1, 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    endpoint INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    state INTEGER NOT NULL,
    late INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    arrived_ms INTEGER NOT NULL,
    remember_ms INTEGER NOT NULL,
    cause TEXT NOT NULL,
    batch BLOB,
    place INTEGER,
    logged INTEGER NOT NULL,
    version INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS bodies (no INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS endpoints (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS by_id ON deliveries (id);
CREATE INDEX IF NOT EXISTS waiting ON deliveries (endpoint, late, due_ms) WHERE state = 0;
CREATE INDEX IF NOT EXISTS dead ON deliveries (endpoint, arrived_ms) WHERE state = 2;
CREATE INDEX IF NOT EXISTS ended ON deliveries (state, due_ms) WHERE state > 0;
CREATE INDEX IF NOT EXISTS batches ON deliveries (batch) WHERE batch IS NOT NULL;
CREATE INDEX IF NOT EXISTS unsettled ON deliveries (place) WHERE logged = 0 AND state != 1;
CREATE INDEX IF NOT EXISTS stale ON deliveries (no) WHERE logged = 2;
"""
_COLUMNS: Final = (
    "no, id, endpoint, event_id, type, state, late, due_ms, attempts, arrived_ms, remember_ms, cause, place, "
    "logged, version"
)
_KEEP_MARK: Final = (
    "UPDATE deliveries SET state = 1, logged = 2, due_ms = 0, version = version + 1 "
    "WHERE no = ? AND logged > 0"
)
_OF_MARKS: Final = (
    "WHERE no = ? AND EXISTS (SELECT 1 FROM deliveries AS d WHERE d.no = bodies.no AND d.logged > 0)"
)
_EMPTY_BODY: Final = f"UPDATE bodies SET body = x'' {_OF_MARKS}"  # noqa: S608
_DELETE_BODY: Final = f"DELETE FROM bodies {_OF_MARKS.replace('logged > 0', 'logged = 0')}"  # noqa: S608
# Pages of 4 KiB that one file may hold in memory: 16 MB.
_CACHE_PAGES: Final = 4_000
_PER_QUERY: Final = 500
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Placed:
    """A delivery and its place in the delivery topic; None: it has none there."""

    delivery: DeliveryV1
    place: int | None = None


class QueueFile:
    """One open file. Calls block; two threads must not call at once.

    Attributes:
        names: Of the endpoints, by their numbers in the file.
        waiting: Rows that wait, by endpoint.
        dead: Rows that were given up, by endpoint.
        heads: When the next row is due, by endpoint and whether it is a late one.
        claimed: Rows whose attempt runs -> their endpoint and whether it is a late one.
        claimed_count: The number of those.

    Args:
        path: The file; made when it is missing.

    Raises:
        StoreError: The file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.db = open_file(path, schema=_SCHEMA, cache_pages=_CACHE_PAGES)
        self.path = path
        self.names: dict[int, str] = dict(self.db.execute("SELECT no, id FROM endpoints"))
        self.numbers = {name: number for number, name in self.names.items()}
        self.waiting: Counter[int] = Counter()
        self.dead: Counter[int] = Counter()
        self.done_count = 0
        self.heads: dict[tuple[int, int], int] = {}
        self.claimed: dict[int, tuple[int, int]] = {}
        self.claimed_count: Counter[tuple[int, int]] = Counter()
        self._next_no = int(self.db.execute("SELECT ifnull(max(no), 0) + 1 FROM deliveries").fetchone()[0])
        self._count()

    @contextmanager
    def writing(self) -> Iterator[Cursor]:
        """Write everything inside in one transaction, or nothing."""
        with transaction(self.db, self.path) as cursor:
            yield cursor

    def about(self, name: str) -> str:
        """Return a note about the file, empty when there is none."""
        row = self.db.execute("SELECT value FROM about WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def note(self, cursor: Cursor, **about: object) -> None:
        """Write notes about the file."""
        cursor.executemany(
            "INSERT OR REPLACE INTO about VALUES (?, ?)", [(k, str(v)) for k, v in about.items()]
        )

    def number(self, cursor: Cursor, endpoint_id: str) -> int:
        """Return the number of an endpoint; a new one gets one. It stays if the transaction fails: no harm."""
        if endpoint_id not in self.numbers:
            cursor.execute("INSERT OR IGNORE INTO endpoints (id) VALUES (?)", [endpoint_id])
            row = cursor.execute("SELECT no FROM endpoints WHERE id = ?", [endpoint_id]).fetchone()
            self.numbers[endpoint_id] = row[0]
            self.names[row[0]] = endpoint_id
        return self.numbers[endpoint_id]

    def known(self, ids: Sequence[bytes]) -> dict[bytes, tuple[int, int, int, int, int]]:
        """Return (no, endpoint, state, logged, version) of the rows with these ids."""
        found = {}
        for part in in_parts(ids):
            query = (
                f"SELECT id, no, endpoint, state, logged, version FROM deliveries WHERE id IN ({marks(part)})"  # noqa: S608
            )
            found.update({row[0]: row[1:] for row in self.db.execute(query, part)})
        return found

    def insert(self, cursor: Cursor, placed: Iterable[Placed], *, logged: int) -> list[tuple[int, int, int]]:
        """Add rows that are not there; return (endpoint, state, change of their number) for `tally`."""
        rows: list[tuple[Any, ...]] = []
        bodies: list[tuple[int, bytes]] = []
        for item in placed:
            d = item.delivery
            state, late = STATE_NUMBERS[d.state], is_late(d.attempt_count)
            rows.append(
                (self._next_no, id_bytes(d.webhook_id), self.number(cursor, d.endpoint_id), d.event_id, d.type, state,
                 late, d.due_ms or d.arrived_ms, d.attempt_count, d.arrived_ms, d.remember_ms, d.cause, item.place,
                 logged, d.version)
            )  # fmt: skip
            bodies.append((self._next_no, d.body.encode()))
            self._next_no += 1
        cursor.executemany(f"INSERT INTO deliveries ({_COLUMNS}) VALUES ({marks(_COLUMNS.split())})", rows)  # noqa: S608
        cursor.executemany("INSERT INTO bodies VALUES (?, ?)", bodies)
        return [(row[2], row[5], 1) for row in rows]

    def delete(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Delete rows, given as (no, endpoint, state); what the changelog has is kept as a mark until it has not."""
        numbers = [(row[0],) for row in rows]
        with self.writing() as cursor:
            cursor.executemany(_KEEP_MARK, numbers)
            cursor.executemany(_EMPTY_BODY, numbers)
            cursor.executemany(_DELETE_BODY, numbers)
            cursor.executemany("DELETE FROM deliveries WHERE no = ? AND logged = 0", numbers)
        for no, *_ in rows:
            self.unclaim(no)
        # Marks are counted as done ones; what is deleted is not.
        kept = self._kept(numbers)
        self.tally(
            change
            for no, endpoint, state in rows
            for change in ((endpoint, state, -1), (endpoint, DONE, int(no in kept)))
        )

    def _kept(self, numbers: Sequence[tuple[int]]) -> set[int]:
        kept: set[int] = set()
        for part in in_parts([no for (no,) in numbers]):
            query = f"SELECT no FROM deliveries WHERE no IN ({marks(part)})"  # noqa: S608
            kept.update(no for (no,) in self.db.execute(query, part))
        return kept

    def claim(self, numbers: Iterable[int], place: tuple[int, int]) -> None:
        """Remember that the attempts of rows run."""
        for no in numbers:
            self.claimed[no] = place
            self.claimed_count[place] += 1

    def unclaim(self, no: int) -> tuple[int, int] | None:
        """Forget it again; return the row's endpoint and whether it was a late one, None if its attempt did not run."""
        place = self.claimed.pop(no, None)
        if place is not None:
            self.claimed_count[place] -= 1
        return place

    def tally(self, changes: Iterable[tuple[int, int, int]]) -> None:
        """Count changes that were written, and look up what is due next for the endpoints that they touch."""
        touched = set()
        for endpoint, state, change in changes:
            if state == WAITING:
                self.waiting[endpoint] += change
            elif state == DEAD:
                self.dead[endpoint] += change
            else:
                self.done_count += change
            touched.add(endpoint)
        for endpoint in touched:
            self.refresh(endpoint)

    def refresh(self, endpoint: int) -> None:
        """Look up what is due next for an endpoint."""
        for late in (0, 1):
            row = self.db.execute(
                "SELECT due_ms FROM deliveries WHERE state = 0 AND endpoint = ? AND late = ? ORDER BY due_ms LIMIT 1",
                [endpoint, late],
            ).fetchone()
            if row is None:
                self.heads.pop((endpoint, late), None)
            else:
                self.heads[endpoint, late] = row[0]

    def _count(self) -> None:
        counted: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for state, endpoint, count in self.db.execute(
            "SELECT 0, endpoint, count(*) FROM deliveries WHERE state = 0 GROUP BY endpoint UNION ALL "
            "SELECT 2, endpoint, count(*) FROM deliveries WHERE state = 2 GROUP BY endpoint"
        ):
            counted[state][endpoint] = count
        self.waiting, self.dead = counted[WAITING], counted[DEAD]
        query = "SELECT count(*) FROM deliveries WHERE state IN (1, 3)"
        self.done_count = int(self.db.execute(query).fetchone()[0])
        for endpoint in self.waiting:
            self.refresh(endpoint)


def is_late(attempts: int) -> int:
    """Return 1 if the attempt after so many is a late one."""
    return int(lane_of(attempts + 1) == "late")


_ID_BYTES: Final = 16


def id_bytes(webhook_id: str) -> bytes:
    """Return the sixteen bytes of a webhook's id.

    Raises:
        ValueError: It is none.
    """
    value = bytes.fromhex(webhook_id.removeprefix("msg_").replace("-", ""))
    if len(value) != _ID_BYTES:
        raise ValueError(f"no id of a webhook: {webhook_id!r}")
    return value


def id_text(value: bytes) -> str:
    """Return a webhook's id."""
    return f"msg_{UUID(bytes=value)}"


def marks(values: Sequence[object]) -> str:
    """Return a question mark for each value."""
    return ",".join("?" * len(values))


def in_parts(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield stretches that fit into one query."""
    for first in range(0, len(values), _PER_QUERY):
        yield values[first : first + _PER_QUERY]
