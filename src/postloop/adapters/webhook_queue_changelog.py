"""What of a queue stands in the compacted changelog: what must be written there, and a file rebuilt from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from sqlite3 import Cursor
from typing import Any, Final

from postloop.adapters.webhook_queue_file import (
    DONE,
    LOGGED,
    STATE_NAMES,
    STATE_NUMBERS,
    UNLOGGED,
    WAITING,
    Placed,
    QueueFile,
    id_bytes,
    id_text,
    is_late,
)
from postloop.contracts.unreadable import READING_ERRORS
from postloop.contracts.webhook_delivery import (
    DELIVERY_PREFIX,
    HEALTH_PREFIX,
    DeliveryV1,
    delivery_from_bytes,
    delivery_key,
    delivery_to_bytes,
    health_from_bytes,
    health_key,
    health_to_bytes,
)
from postloop.domain.webhook.health import HEALTHY, Health

_ROW: Final = (
    "SELECT d.no, d.id, d.endpoint, d.event_id, d.type, d.state, d.due_ms, d.attempts, d.arrived_ms, d.remember_ms, "
    "d.cause, d.version, b.body FROM deliveries AS d JOIN bodies AS b ON b.no = d.no "
)
_STALE: Final = _ROW + "WHERE d.logged = 2 ORDER BY d.no LIMIT ?"
_UNSETTLED: Final = (
    _ROW + "WHERE d.logged = 0 AND d.state != 1 AND d.arrived_ms <= ? ORDER BY d.place LIMIT ?"
)
_MARK: Final = "UPDATE deliveries SET logged = ?, place = NULL WHERE no = ? AND version = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChange:
    """A record to write to the changelog; `value` None takes the key out of it."""

    no: int
    version: int
    key: str
    value: bytes | None


class QueueChangelog:
    """The side of a queue that survives the loss of its file."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file

    def pending(self, *, settle_before_ms: int, limit: int) -> list[LogChange]:
        """Return what the changelog lacks: changes of what it has, then what arrived before a moment and still waits.

        A delivery that is made within the first seconds never costs a record.
        """
        db = self._file.db
        rows = db.execute(_STALE, [limit]).fetchall()
        if len(rows) < limit:
            rows += db.execute(_UNSETTLED, [settle_before_ms, limit - len(rows)]).fetchall()
        return [self._change(row) for row in rows]

    def written(self, changes: Iterable[LogChange]) -> None:
        """Note that the broker acknowledged records. A row that changed meanwhile stays pending."""
        rows = [(UNLOGGED if c.value is None else LOGGED, c.no, c.version) for c in changes]
        with self._file.writing() as cursor:
            cursor.executemany(_MARK, rows)

    def safe_position(self) -> int:
        """Return the place in the delivery topic before which everything is settled: what may be committed."""
        query = "SELECT min(place) FROM deliveries WHERE logged = 0 AND state != 1 AND place IS NOT NULL"
        (first,) = self._file.db.execute(query).fetchone()
        return int(self._file.about("position") or 0) if first is None else int(first)

    def restore(
        self, records: Sequence[tuple[str, bytes | None]], **about: object
    ) -> list[tuple[int, Exception]]:
        """Write a stretch of the changelog into the file; of two copies of a delivery the later version counts.

        Returns:
            The places of records that were not written by us, and what reading them raised; they are passed over.
        """
        last: dict[str, DeliveryV1 | None] = {}
        health: dict[str, str] = {}
        refused: list[tuple[int, Exception]] = []
        for place, (key, value) in enumerate(records):
            try:
                if key.startswith(DELIVERY_PREFIX):
                    id_bytes(key.removeprefix(DELIVERY_PREFIX))  # raises
                    last[key] = None if value is None else delivery_from_bytes(value)
                elif key.startswith(HEALTH_PREFIX):
                    health[key] = "" if value is None else health_to_bytes(health_from_bytes(value)).decode()
            except READING_ERRORS as error:
                refused.append((place, error))
        self._restore(last, {**health, **about})
        return refused

    def _restore(self, last: Mapping[str, DeliveryV1 | None], about: Mapping[str, object]) -> None:
        ids = {key: id_bytes(key.removeprefix(DELIVERY_PREFIX)) for key in last}
        known = self._file.known(list(ids.values()))
        tallies: list[tuple[int, int, int]] = []
        new: list[Placed] = []
        with self._file.writing() as cursor:
            for key, delivery in last.items():
                row = known.get(ids[key])
                if row is None:
                    new += [] if delivery is None else [Placed(delivery)]
                else:
                    tallies += _replaced(cursor, row, delivery)
            tallies += self._file.insert(cursor, new, logged=LOGGED)
            self._file.note(cursor, **about)
        self._file.tally(tallies)

    def health(self, endpoint_id: str) -> Health:
        """Return the failures of an endpoint as they were kept last."""
        value = self._file.about(health_key(endpoint_id))
        return health_from_bytes(value.encode()) if value else HEALTHY

    def keep_health(self, endpoint_id: str, health: Health) -> tuple[str, bytes | None]:
        """Keep the failures of an endpoint; return the record to write to the changelog."""
        key, value = health_key(endpoint_id), None if health == HEALTHY else health_to_bytes(health)
        with self._file.writing() as cursor:
            self._file.note(cursor, **{key: (value or b"").decode()})
        return key, value

    def drop_settled(self, committed: int) -> int:
        """Forget unlogged rows from before the committed place: another owner settled them. Return how many."""
        query = "SELECT no, endpoint, state FROM deliveries WHERE logged = 0 AND state != 1 AND place < ?"
        rows = self._file.db.execute(query, [committed]).fetchall()
        self._file.delete(rows)
        return len(rows)

    def adopt(self) -> int:
        """Take over a file whose topics are gone (a broker that came back empty); return how many rows must be logged.

        Places mean nothing any more, and the changelog has nothing.
        """
        with self._file.writing() as cursor:
            cursor.execute("UPDATE deliveries SET logged = 0, place = NULL")
            self._file.note(cursor, position=0)
            query = "SELECT count(*) FROM deliveries WHERE state != 1"
            return int(cursor.execute(query).fetchone()[0])

    def _change(self, row: tuple[Any, ...]) -> LogChange:
        (
            no,
            name,
            endpoint,
            event_id,
            kind,
            state,
            due_ms,
            attempts,
            arrived_ms,
            remember_ms,
            cause,
            version,
            body,
        ) = row
        key = id_text(name)
        value = None
        if state != DONE:
            delivery = DeliveryV1(
                webhook_id=key,
                endpoint_id=self._file.names[endpoint],
                event_id=event_id,
                type=kind,
                body=body.decode(),
                arrived_ms=arrived_ms,
                state=STATE_NAMES[state],
                attempt_count=attempts,
                due_ms=due_ms,
                remember_ms=remember_ms,
                cause=cause,
                version=version,
            )
            value = delivery_to_bytes(replace(delivery, body="") if state not in _SENDABLE else delivery)
        return LogChange(no=no, version=version, key=delivery_key(key), value=value)


_SENDABLE: Final = (WAITING, STATE_NUMBERS["dead"])


def _replaced(
    cursor: Cursor, row: tuple[int, int, int, int, int], delivery: DeliveryV1 | None
) -> list[tuple[int, int, int]]:
    """Bring a row to what the changelog says, unless the file knows better; return the change in numbers."""
    no, endpoint, state, logged, version = row
    if delivery is None:
        if logged == UNLOGGED:  # this copy came after what the changelog forgot
            return []
        cursor.execute("UPDATE deliveries SET state = 1, logged = 0, place = NULL WHERE no = ?", [no])
        return [(endpoint, state, -1), (endpoint, DONE, 1)]
    if version > delivery.version:
        return []
    after = STATE_NUMBERS[delivery.state]
    cursor.execute(
        "UPDATE deliveries SET state = ?, late = ?, due_ms = ?, attempts = ?, cause = ?, logged = 1, place = NULL, "
        "version = ? WHERE no = ?",
        [after, is_late(delivery.attempt_count), delivery.due_ms, delivery.attempt_count, delivery.cause,
         delivery.version, no],
    )  # fmt: skip
    return [(endpoint, state, -1), (endpoint, after, 1)]
