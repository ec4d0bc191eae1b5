"""The deliveries of one partition that wait, were given up, or were made lately.

Nothing but a few numbers for each endpoint lives in memory, however many wait. Attempts are claimed, made by somebody
else, and recorded; what was claimed by a process that died waits again. docs/decisions/0009-webhooks-queue.md tells
how the rows survive the loss of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from postloop.adapters.webhook_queue_file import (
    DEAD,
    DONE,
    REMEMBERED,
    UNLOGGED,
    WAITING,
    Placed,
    QueueFile,
    id_bytes,
    id_text,
    is_late,
)
from postloop.domain.webhook.bodies import MAX_BATCH_BYTES, MAX_BATCH_COUNT
from postloop.domain.webhook.dispatch import Lane
from postloop.domain.webhook.endpoint import DAY_MS
from postloop.domain.webhook.event_types import TEST_TYPE
from postloop.domain.webhook.notice import batch_id

DEFAULT_KEEP_MS: Final = DAY_MS
"""How long a delivery that was made can be sent again by hand, and is known as a repeat."""
_Row = tuple[Any, ...]
# A member's id and its name in the body of a batch.
_MEMBER_BYTES: Final = 64

_SELECT: Final = (
    "SELECT d.no, d.id, d.event_id, d.type, d.attempts, d.arrived_ms, d.due_ms, d.remember_ms, d.batch, b.body "
    "FROM deliveries AS d JOIN bodies AS b ON b.no = d.no "
)
_DUE: Final = _SELECT + (
    "WHERE d.state = 0 AND d.endpoint = ? AND d.late = ? AND d.due_ms <= ? ORDER BY d.due_ms LIMIT ?"
)
_DUE_COUNT: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state = 0 AND endpoint = ? AND late = ? AND due_ms <= ? "
    "LIMIT ?)"
)
_RECORD: Final = (
    "UPDATE deliveries SET state = ?, late = ?, due_ms = ?, attempts = ?, cause = ?, version = version + 1, "
    "logged = CASE logged WHEN 0 THEN 0 ELSE 2 END WHERE no = ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery whose next attempt is to be made now.

    Attributes:
        no: Of its row.
        attempt: The number of this attempt, from 1.
        batch: The id under which it goes out together with others; None: alone.
    """

    no: int
    webhook_id: str
    endpoint_id: str
    event_id: str
    type: str
    body: bytes
    attempt: int
    arrived_ms: int
    due_ms: int
    remember_ms: int
    batch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an attempt.

    Attributes:
        at_ms: When it ended.
        due_ms: Of the next attempt, only for `retry`.
        cause: Why it is dead, only for `dead`.
    """

    claimed: Claimed
    outcome: Literal["done", "retry", "dead"]
    at_ms: int
    due_ms: int = 0
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Of one endpoint: what waits, and what was given up and can be recovered."""

    waiting_count: int
    dead_count: int


class WebhookQueue:
    """The queue of one partition. Calls block; two threads must not call at once.

    Args:
        path: The file; made when it is missing.
        keep_ms: How long deliveries that were made are kept.

    Raises:
        StoreError: The file cannot be made; from every method that writes: there is no room.
    """

    def __init__(self, path: Path, *, keep_ms: int = DEFAULT_KEEP_MS) -> None:
        self.file = QueueFile(path)
        self._keep_ms = keep_ms

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.file.db.close()

    def put(self, placed: Iterable[Placed], *, position: int | None = None) -> int:
        """Add deliveries, and return how many are new. What has an id that is known changes nothing.

        Args:
            position: What of the delivery topic comes next, noted in the same transaction.
        """
        by_id = {id_bytes(item.delivery.webhook_id): item for item in reversed(list(placed))}
        known = self.file.known(list(by_id))
        new = [item for name, item in reversed(by_id.items()) if name not in known]
        with self.file.writing() as cursor:
            changes = self.file.insert(cursor, new, logged=UNLOGGED)
            if position is not None:
                self.file.note(cursor, position=position)
        self.file.tally(changes)
        return len(new)

    def due_endpoints(self, now_ms: int) -> list[str]:
        """Return the endpoints of which something is due, claimed or not; from memory."""
        due = {endpoint for (endpoint, _), head_ms in self.file.heads.items() if head_ms <= now_ms}
        return [self.file.names[endpoint] for endpoint in sorted(due)]

    def next_due_ms(self, endpoint_id: str) -> int | None:
        """Return when something of an endpoint is due next; from memory."""
        number = self.file.numbers.get(endpoint_id, 0)
        heads = (self.file.heads.get((number, late)) for late in (0, 1))
        return min((head for head in heads if head is not None), default=None)

    def due_counts(self, endpoint_id: str, *, now_ms: int, limit: int) -> tuple[int, int]:
        """Return how many first and late attempts are due and not claimed, each up to a limit."""
        endpoint = self.file.numbers.get(endpoint_id)
        if endpoint is None:
            return 0, 0
        first, late = (self._due_count(endpoint, late, now_ms, limit) for late in (0, 1))
        return first, late

    def claim(self, endpoint_id: str, lane: Lane, *, now_ms: int, limit: int) -> list[Claimed]:
        """Return deliveries that are due, the longest due first; nobody else is given them until they are recorded."""
        endpoint, late = self.file.numbers.get(endpoint_id), int(lane == "late")
        if endpoint is None or limit < 1:
            return []
        rows = self._unclaimed(endpoint, late, now_ms, limit)
        self.file.claim((row[0] for row in rows), (endpoint, late))
        return [_claimed(endpoint_id, row) for row in rows]

    def claim_batch(
        self, endpoint_id: str, lane: Lane, *, now_ms: int, limit: int = MAX_BATCH_COUNT
    ) -> list[Claimed]:
        """Return deliveries that go out in one request, all under one `batch`.

        Who belongs together is written down before anything is sent: a repeat, also after a crash, carries the same id
        and the same members.
        """
        endpoint, late = self.file.numbers.get(endpoint_id), int(lane == "late")
        if endpoint is None:
            return []
        rows = self._unclaimed(endpoint, late, now_ms, limit)
        if rows and (batch := rows[0][8]) is not None:
            rows = self.file.db.execute(
                _SELECT + "WHERE d.batch = ? AND d.state = 0 ORDER BY d.no", [batch]
            ).fetchall()
        elif rows:
            rows = sorted(_together(rows))
            batch = self._bind(endpoint_id, rows)
        self.file.claim((row[0] for row in rows), (endpoint, late))
        return [_claimed(endpoint_id, row, batch=id_text(batch)) for row in rows]

    def claim_one(self, endpoint_id: str, webhook_id: str, *, is_batched: bool) -> list[Claimed]:
        """Return a delivery that waits, due or not, alone in its batch; nothing where it waits no more."""
        row = self.file.db.execute(
            _SELECT + "WHERE d.id = ? AND d.state = 0", [id_bytes(webhook_id)]
        ).fetchone()
        if row is None or row[0] in self.file.claimed:
            return []
        batch = id_text(self._bind(endpoint_id, [row])) if is_batched else None
        self.file.claim([row[0]], (self.file.numbers[endpoint_id], is_late(row[4])))
        return [_claimed(endpoint_id, row, batch=batch)]

    def release(self, claimed: Iterable[Claimed]) -> None:
        """Let deliveries wait as before: their attempts were not made."""
        for one in claimed:
            self.file.unclaim(one.no)

    def record(self, results: Iterable[Result]) -> int:
        """Write what came of attempts in one transaction; return of how many. What was purged meanwhile is ignored."""
        rows, changes = [], []
        for result in results:
            place = self.file.claimed.get(result.claimed.no)
            if place is not None:
                row = self._outcome(result)
                rows.append(row)
                changes += [(place[0], WAITING, -1), (place[0], row[0], 1)]
        with self.file.writing() as cursor:
            cursor.executemany(_RECORD, rows)
        for row in rows:
            self.file.unclaim(row[-1])
        self.file.tally(changes)
        return len(rows)

    def counts(self) -> dict[str, Counts]:
        """Return what waits and what was given up, by endpoint; from memory."""
        file = self.file
        numbers = sorted(file.waiting.keys() | file.dead.keys())
        return {
            file.names[n]: Counts(waiting_count=file.waiting[n], dead_count=file.dead[n])
            for n in numbers
            if file.waiting[n] or file.dead[n]
        }

    def _due_count(self, endpoint: int, late: int, now_ms: int, limit: int) -> int:
        if self.file.heads.get((endpoint, late), now_ms + 1) > now_ms:
            return 0
        claimed = self.file.claimed_count[endpoint, late]
        row = self.file.db.execute(_DUE_COUNT, [endpoint, late, now_ms, limit + claimed]).fetchone()
        return max(0, int(row[0]) - claimed)

    def _unclaimed(self, endpoint: int, late: int, now_ms: int, limit: int) -> list[_Row]:
        claimed = self.file.claimed
        most = limit + self.file.claimed_count[endpoint, late]
        rows = self.file.db.execute(_DUE, [endpoint, late, now_ms, most]).fetchall()
        return [row for row in rows if row[0] not in claimed][:limit]

    def _bind(self, endpoint_id: str, rows: Sequence[_Row]) -> bytes:
        names = tuple(id_text(row[1]) for row in rows)
        batch = id_bytes(batch_id(endpoint_id=endpoint_id, webhook_ids=names))
        with self.file.writing() as cursor:
            cursor.executemany(
                "UPDATE deliveries SET batch = ? WHERE no = ?", [(batch, row[0]) for row in rows]
            )
        return batch

    def _outcome(self, result: Result) -> _Row:
        one = result.claimed
        if result.outcome == "retry":
            return WAITING, is_late(one.attempt), result.due_ms, one.attempt, "", one.no
        if result.outcome == "dead":
            return DEAD, 0, result.at_ms, one.attempt, result.cause, one.no
        state, keep_ms = (REMEMBERED, one.remember_ms) if one.remember_ms else (DONE, self._keep_ms)
        return state, 0, result.at_ms + keep_ms, one.attempt, "", one.no


def _claimed(endpoint_id: str, row: _Row, *, batch: str | None = None) -> Claimed:
    no, name, event_id, kind, attempts, arrived_ms, due_ms, remember_ms, _, body = row
    return Claimed(
        no=no,
        webhook_id=id_text(name),
        endpoint_id=endpoint_id,
        event_id=event_id,
        type=kind,
        body=body,
        attempt=attempts + 1,
        arrived_ms=arrived_ms,
        due_ms=due_ms,
        remember_ms=remember_ms,
        batch=batch,
    )


def _together(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Yield the rows that may go out with the first: as often tried, in no batch, no test, not too large together.

    Equal numbers of attempts keep the members of a batch together to the end: it is never sent again without some.
    """
    size = 0
    for row in rows:
        size += len(row[9]) + _MEMBER_BYTES
        is_apart = row[8] is not None or size > MAX_BATCH_BYTES or TEST_TYPE in (row[3], rows[0][3])
        if row[4] != rows[0][4] or (is_apart and row is not rows[0]):
            return
        yield row
