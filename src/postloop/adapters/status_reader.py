"""What a status page shows: how fast events are stored, when topics were last heard, what the blocklist did last."""

# ruff: noqa: S608 - names in the queries are ours; what comes from outside is a parameter.
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import rows_of
from postloop.adapters.migrations import layout_of
from postloop.contracts.fields import milliseconds, moment
from postloop.settings import Settings

STEP_S: Final = 10
STEPS: Final = 30
RATE_STEPS: Final = 6
"""Of them, the last minute: the figure that is shown large."""
CHANGES_WITHIN: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Flow:
    """Events stored a second in a stretch of STEP_S seconds."""

    at: datetime
    per_second: float


@dataclass(frozen=True, slots=True)
class Heard:
    """When a topic was last heard; `lag_s` from its last event to now."""

    topic: str
    last_occurred_at: datetime
    last_stored_at: datetime
    lag_s: float


@dataclass(frozen=True, slots=True)
class BlocklistChange:
    """One change of the blocklist; `cause` is empty unless an entry ended."""

    at: datetime
    change: str
    cause: str
    scope: str
    recipient: str
    reason: str
    expires_at: datetime | None


class StatusReader:
    """Reads for all accounts: for operators only. Every method blocks.

    Raises:
        UnavailableError: ClickHouse cannot be asked.
        RefusedError: It refused the question.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        layout = layout_of(settings)
        self._client = client
        self._where = f"ClickHouse at {settings.clickhouse_url}"
        self._events = layout.readable("events")
        self._log = layout.readable("blocklist_log")

    def flow(self, *, now: datetime) -> list[Flow]:
        """Return how fast events were stored up to now, the oldest stretch first, without gaps."""
        end_s = milliseconds(now) // 1000 // STEP_S * STEP_S
        begin_s = end_s - STEPS * STEP_S
        query = (
            f"SELECT intDiv(toUnixTimestamp(stored_at), {STEP_S}) * {STEP_S} AS at_s, count() FROM {self._events} "
            "WHERE stored_at >= toDateTime({begin:UInt32}, 'UTC') AND stored_at < toDateTime({end:UInt32}, 'UTC') "
            "GROUP BY at_s"
        )
        counts = dict(self._rows(query, begin=begin_s, end=end_s))
        steps = range(begin_s, end_s, STEP_S)
        return [Flow(moment(at_s * 1000), counts.get(at_s, 0) / STEP_S) for at_s in steps]

    def heard(self) -> list[Heard]:
        """Return when each topic was last heard, by name."""
        query = "SELECT topic, last_occurred_at, last_stored_at, lag_s FROM v_freshness ORDER BY topic"
        return [Heard(*row) for row in self._rows(query)]

    def changes(self, *, now: datetime, limit: int) -> list[BlocklistChange]:
        """Return the newest changes of the blocklist of the last CHANGES_WITHIN, the newest first."""
        names = "at, change, cause, scope, recipient, reason, expires_at"
        query = (
            f"SELECT {names} FROM {self._log} WHERE at >= {{since:DateTime64(3,'UTC')}} "
            "ORDER BY at DESC, event_id LIMIT 1 BY recipient, scope, event_id LIMIT {limit:UInt32}"
        )
        rows = self._rows(query, since=now - CHANGES_WITHIN, limit=limit)
        return [BlocklistChange(*row) for row in rows]

    def _rows(self, query: str, **said: Any) -> list[tuple[Any, ...]]:
        return rows_of(self._client, query, said, where=self._where)
