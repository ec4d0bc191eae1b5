"""What is done to many deliveries of a queue at once: purged, given up, sent again, forgotten.

Each call writes at most `limit` rows and says how many it wrote, so that a million take many short transactions: call
again until it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from postloop.adapters.webhook_queue_file import (
    DEAD,
    WAITING,
    QueueFile,
    id_bytes,
    id_text,
    in_parts,
    marks,
)
from postloop.domain.webhook.endpoint import RECOVERY_MS
from postloop.domain.webhook.event_types import TEST_TYPE

DEFAULT_LIMIT: Final = 5_000
MAX_DONE_COUNT: Final = 500_000
"""Rows of deliveries that were made, beyond which the oldest go early."""

_CHANGE: Final = "version = version + 1, logged = CASE logged WHEN 0 THEN 0 ELSE 2 END"
_GIVE_UP: Final = f"UPDATE deliveries SET state = 2, due_ms = ?, cause = ?, late = 0, {_CHANGE} WHERE no = ?"  # noqa: S608
_REVIVE: Final = (
    f"UPDATE deliveries SET {_CHANGE}, state = 0, late = 0, attempts = 0, due_ms = ?, cause = '', "  # noqa: S608
    "batch = CASE state WHEN 0 THEN batch ELSE NULL END WHERE no = ?"
)
_GIVEN: Final = (
    "SELECT d.id, d.endpoint, d.event_id, d.type, d.attempts, b.body FROM deliveries AS d JOIN bodies AS b "
    "ON b.no = d.no WHERE d.no IN"
)
_Row = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A delivery that was given up without another attempt."""

    at_ms: int
    webhook_id: str
    endpoint_id: str
    event_id: str
    type: str
    attempt_count: int
    cause: str
    body: bytes


class QueueUpkeep:
    """The long jobs of a queue."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file
        self._given: list[GivenUp] = []

    def take_given_up(self) -> list[GivenUp]:
        """Return what was given up since the last call, to be told; tests are nothing that anybody misses."""
        given, self._given = self._given, []
        return given

    def purge(self, endpoint_id: str, *, limit: int = DEFAULT_LIMIT) -> int:
        """Forget what waits for an endpoint that was removed, and what was given up; attempts that run are let end."""
        endpoint = self._file.numbers.get(endpoint_id, 0)
        rows = self._rows("state = 0 AND endpoint = ?", endpoint, limit=limit)
        rows = rows or self._rows("state = 2 AND endpoint = ?", endpoint, limit=limit)
        self._file.delete(rows)
        return len(rows)

    def give_up(self, endpoint_id: str, *, cause: str, now_ms: int, limit: int = DEFAULT_LIMIT) -> int:
        """Make what waits for a disabled endpoint recoverable instead; what is being attempted is left."""
        rows = self._rows("state = 0 AND endpoint = ?", self._file.numbers.get(endpoint_id, 0), limit=limit)
        return self._given_up(rows, cause=cause, now_ms=now_ms)

    def recover(self, endpoint_id: str, *, since_ms: int, now_ms: int, limit: int = DEFAULT_LIMIT) -> int:
        """Let what was given up since a moment wait for its first attempt again, under its old ids."""
        endpoint = self._file.numbers.get(endpoint_id, 0)
        rows = self._rows("state = 2 AND endpoint = ? AND arrived_ms >= ?", endpoint, since_ms, limit=limit)
        return self._revived(rows, now_ms)

    def resend(self, webhook_ids: Sequence[str], *, now_ms: int) -> int:
        """Let deliveries be attempted again now, also those that were made; return how many of them were found.

        One whose attempt runs is found and left alone. One of which only the mark is left is not found. One that waits
        in a batch takes the batch along, whose id stands for all of them.
        """
        known = self._file.known([id_bytes(name) for name in webhook_ids])
        rows = [(no, endpoint, state) for no, endpoint, state, *_ in known.values()]
        bodies = "SELECT no FROM bodies WHERE no = ? AND length(body) > 0"
        found = [row for row in rows if self._file.db.execute(bodies, [row[0]]).fetchone()]
        moved = {row[0]: row for one in found for row in (one, *self._beside(one[0]))}
        self._revived([row for row in moved.values() if row[0] not in self._file.claimed], now_ms)
        return len(found)

    def _beside(self, no: int) -> list[_Row]:
        """Return the rows that wait in the same batch as one that waits."""
        query = (
            "SELECT no, endpoint, state FROM deliveries WHERE state = 0 AND batch = "
            "(SELECT batch FROM deliveries WHERE no = ? AND state = 0)"
        )
        return self._file.db.execute(query, [no]).fetchall()

    def forget(self, *, now_ms: int, limit: int = DEFAULT_LIMIT, max_done_count: int = MAX_DONE_COUNT) -> int:
        """Forget what was made, remembered or given up for long enough; give up what was due for 14 days."""
        rows = self._rows("state = 1 AND logged = 0 AND due_ms <= ?", now_ms, limit=limit)
        excess = min(limit, self._file.done_count - max_done_count)
        if not rows and excess > 0:
            rows = self._rows("state = 1 AND logged = 0", limit=excess)
        rows += self._rows("state = 3 AND due_ms <= ?", now_ms, limit=limit)
        rows += self._rows("state = 2 AND due_ms <= ?", now_ms - RECOVERY_MS, limit=limit)
        self._file.delete(rows)
        return len(rows) + self._aged(now_ms, limit)

    def _aged(self, now_ms: int, limit: int) -> int:
        """Give up what nobody attempted for too long, of one endpoint: it is paused."""
        oldest_ms = now_ms - RECOVERY_MS
        for (endpoint, late), head_ms in self._file.heads.items():
            if head_ms <= oldest_ms:
                where = "state = 0 AND endpoint = ? AND late = ? AND due_ms <= ?"
                rows = self._rows(where, endpoint, late, oldest_ms, limit=limit)
                return self._given_up(rows, cause="too_old", now_ms=now_ms)
        return 0

    def _rows(self, where: str, *values: int, limit: int) -> list[_Row]:
        """Return (no, endpoint, state) of rows that no attempt is being made for, the first due first."""
        query = f"SELECT no, endpoint, state FROM deliveries WHERE {where} ORDER BY due_ms LIMIT ?"  # noqa: S608
        rows = self._file.db.execute(query, [*values, limit + len(self._file.claimed)]).fetchall()
        return [row for row in rows if row[0] not in self._file.claimed][:limit]

    def _given_up(self, rows: Sequence[_Row], *, cause: str, now_ms: int) -> int:
        with self._file.writing() as cursor:
            cursor.executemany(_GIVE_UP, [(now_ms, cause, no) for no, *_ in rows])
        self._moved(rows, DEAD)
        for part in in_parts([no for no, *_ in rows]):
            for name, endpoint, event_id, kind, attempts, body in self._file.db.execute(
                f"{_GIVEN} ({marks(part)})", part
            ):
                if kind != TEST_TYPE:
                    given = GivenUp(
                        at_ms=now_ms,
                        webhook_id=id_text(name),
                        endpoint_id=self._file.names[endpoint],
                        event_id=event_id,
                        type=kind,
                        attempt_count=attempts,
                        cause=cause,
                        body=body,
                    )
                    self._given.append(given)
        return len(rows)

    def _revived(self, rows: Sequence[_Row], now_ms: int) -> int:
        with self._file.writing() as cursor:
            cursor.executemany(_REVIVE, [(now_ms, no) for no, *_ in rows])
        self._moved(rows, WAITING)
        return len(rows)

    def _moved(self, rows: Sequence[_Row], state: int) -> None:
        changes = [(endpoint, before, -1) for _, endpoint, before in rows]
        self._file.tally([*changes, *((endpoint, state, 1) for _, endpoint, _ in rows)])
