"""The queries of `postloop reconcile`: what the raw events say, what a rollup says, and the difference.

A rollup row is compared by two hashes, of its key (cube, bucket, dimensions) and of its counters, so that
hours of any size fit into memory. A key that one side lacks counts as a row of zeros.
"""

# ruff: noqa: S608 - names and numbers in the queries are ours, nothing in them comes from events.
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from postloop.adapters import migrations
from postloop.adapters.migration_render import Layout, rollup_select

Hashes = npt.NDArray[np.uint64]
# Quoted, because GROUP BY CUBE (...) is something else.
KEY: Final = (
    "`cube`",
    "bucket",
    "account_id",
    "sender_domain",
    "mailbox_provider",
    "ip_pool",
    "ip_pool_kind",
    "mail_class",
    "campaign_id",
    "template_id",
    "topic",
    "latency_bin",
    "reason",
    "hard",
    "fault",
    "sent_bucket",
)
COUNTERS: Final = (
    "event_count",
    "send_count",
    "rejected_count",
    "suppressed_count",
    "delivered_count",
    "reporting_delivered_count",
    "hard_bounce_count",
    "soft_bounce_count",
    "deferral_count",
    "complaint_count",
    "unsubscribe_count",
    "open_count",
    "delayed_count",
    "refusal_count",
)
_SKETCHES: Final = ("opens", "human_opens")
_TIMES: Final = ("last_event_at", "last_stored_at")
HOUR: Final = timedelta(hours=1)
# Which copy of an event counts: the one stored first. What follows only makes the order total.
_FIRST_STORED: Final = "stored_at, topic_id, `partition`, `offset`, `index`"
_ID: Final = "cityHash64(topic, event_id)"
# Factors that mix the hashes of a move into one number, here and in `mixed`.
_MIX_RAW: Final = 0x9E3779B97F4A7C15
_MIX_ROLLED: Final = 0xC2B2AE3D27D4EB4F
_KEY_HASH: Final = f"cityHash64({', '.join(KEY)})"


@dataclass(frozen=True)
class Rollup:
    """A rollup table, what rounds an instant down to its bucket, and a bucket to the day or week it is sorted by."""

    table: str
    bucket_function: str
    day_function: str


ROLLUPS: Final = (
    Rollup("rollup_minute", "toStartOfMinute", "toDate"),
    Rollup("rollup_hour", "toStartOfHour", "toMonday"),
)


@dataclass(frozen=True)
class Copies:
    """How the copies of events are told apart in one hour.

    Attributes:
        repeated: Some event id occurs twice in the hour, or also elsewhere.
        days: Days of records to look for copies outside the hour; empty: not needed.
    """

    repeated: bool
    days: tuple[date, ...] = ()


@dataclass(frozen=True)
class HourQueries:
    """The queries for the events that occurred in one hour."""

    hour: datetime
    layout: Layout

    def row_count(self) -> str:
        """Count raw rows and different event ids, and list the days of their records."""
        return (
            f"SELECT count(), uniqExact({_ID}), groupUniqArray(toDate(record_at)) "
            f"FROM {self._events} WHERE {self._in_hour('occurred_at')}"
        )

    def copies_elsewhere(self, days: Iterable[date]) -> str:
        """Count raw rows outside the hour that repeat an event id of it, on some days of records."""
        return f"SELECT count() FROM {self._events} WHERE {self._elsewhere(days)}"

    def raw_hashes(self, rollup: Rollup, copies: Copies) -> str:
        """Return (key hash, counter hash, 0) of every rollup row that there should be."""
        hashes = f"{_KEY_HASH} AS k, {_counter_hash()} AS c, toInt64(0) AS s"
        return f"SELECT {hashes} FROM ({self._raw(rollup, copies)})"

    def rollup_hashes(self, rollup: Rollup) -> str:
        """Return (key hash, counter hash, last stored event in ms) of every rollup row that there is."""
        return (
            f"SELECT {_KEY_HASH} AS k, {_counter_hash()} AS c, toUnixTimestamp64Milli(last_stored_at) AS s "
            f"FROM ({self._rolled(rollup)}) WHERE {_tuple(COUNTERS)} != {_zeros()}"
        )

    def differences(self, rollup: Rollup, copies: Copies, moves: Sequence[int]) -> str:
        """Return rollup rows that, added, make the table right.

        Args:
            rollup: The table.
            copies: How repeats are told apart.
            moves: What `mixed` made of the wanted rows. A row that meanwhile has other counters on either side is
                left out.
        """
        signed = ", ".join(f"sum(if(is_raw, sides.{name}, -sides.{name})) AS {name}" for name in COUNTERS)
        states = ", ".join(
            f"uniqCombined64MergeStateIf(sides.{name}, is_raw) AS {name}" for name in _SKETCHES
        )
        times = ", ".join(f"max(sides.{name}) AS {name}" for name in _TIMES)
        raw, rolled = (
            f"cityHash64({', '.join(f'sumIf(sides.{name}, {side})' for name in COUNTERS)})"
            for side in ("is_raw", "NOT is_raw")
        )
        columns = ", ".join((*KEY, *COUNTERS, *_SKETCHES, *_TIMES))
        move = f"bitXor(bitXor({_KEY_HASH}, {raw} * {_MIX_RAW}), {rolled} * {_MIX_ROLLED})"
        # One string is parsed at once; a list of as many numbers takes seconds.
        wanted = f"SELECT toUInt64(arrayJoin(splitByChar(',', '{','.join(map(str, moves))}')))"
        return (
            f"SELECT {', '.join(KEY)}, {signed}, {states}, {times} FROM ("
            f"SELECT {columns}, true AS is_raw FROM ({self._raw(rollup, copies)}) UNION ALL "
            f"SELECT {columns}, false AS is_raw FROM ({self._rolled(rollup)})) AS sides "
            f"GROUP BY {', '.join(KEY)} HAVING {move} IN ({wanted})"
        )

    def summary(self, rollup: Rollup, copies: Copies, moves: Sequence[int]) -> str:
        """Add the differences up by bucket and cube: (bucket, cube, keys, one sum per counter)."""
        sums = ", ".join(f"sum({name})" for name in COUNTERS)
        return (
            f"SELECT toUnixTimestamp(bucket), `cube`, count(), {sums} "
            f"FROM ({self.differences(rollup, copies, moves)}) "
            "GROUP BY bucket, `cube` ORDER BY bucket, `cube`"
        )

    def repair(self, rollup: Rollup, copies: Copies, moves: Sequence[int]) -> str:
        """Insert the differences."""
        columns = ", ".join((*KEY, *COUNTERS, *_SKETCHES, *_TIMES))
        return f"INSERT INTO {rollup.table} ({columns}) {self.differences(rollup, copies, moves)}"

    @property
    def _events(self) -> str:
        return self.layout.readable("events")

    def _raw(self, rollup: Rollup, copies: Copies) -> str:
        in_hour = self._in_hour("occurred_at")
        source = f"SELECT * FROM {self._events} WHERE {in_hour}"
        if copies.repeated:
            # Copies outside the hour take part: where one of them was stored first, the hour counts none.
            days = [self._elsewhere(copies.days)] if copies.days else []
            copied = " UNION ALL ".join(f"SELECT * FROM {self._events} WHERE {at}" for at in (in_hour, *days))
            repeated = f"SELECT {_ID} FROM ({copied}) GROUP BY 1 HAVING count() > 1"
            source = (
                f"{source} AND {_ID} NOT IN ({repeated}) UNION ALL SELECT * FROM ("
                f"SELECT * FROM ({copied}) WHERE {_ID} IN ({repeated}) "
                f"ORDER BY {_FIRST_STORED} LIMIT 1 BY topic, event_id) WHERE {in_hour}"
            )
        return rollup_select(rollup.bucket_function, source=f"({source})", parts=migrations.parts())

    def _rolled(self, rollup: Rollup) -> str:
        sums = ", ".join(f"sum(r.{name}) AS {name}" for name in COUNTERS)
        states = ", ".join(f"uniqCombined64MergeState(r.{name}) AS {name}" for name in _SKETCHES)
        times = ", ".join(f"max(r.{name}) AS {name}" for name in _TIMES)
        start = f"toDateTime({int(self.hour.timestamp())}, 'UTC')"
        return (
            f"SELECT {', '.join(KEY)}, {sums}, {states}, {times} "
            f"FROM {self.layout.readable(rollup.table)} AS r "
            f"WHERE {self._in_hour('bucket')} AND {rollup.day_function}(bucket) = {rollup.day_function}({start}) "
            f"GROUP BY {', '.join(KEY)}"
        )

    def _elsewhere(self, days: Iterable[date]) -> str:
        listed = ", ".join(f"'{day.isoformat()}'" for day in days)
        return (
            f"toDate(record_at) IN ({listed}) AND NOT ({self._in_hour('occurred_at')}) "
            f"AND {_ID} IN (SELECT {_ID} FROM {self._events} WHERE {self._in_hour('occurred_at')})"
        )

    def _in_hour(self, column: str) -> str:
        from_s = int(self.hour.timestamp())
        return f"{column} >= toDateTime({from_s}, 'UTC') AND {column} < toDateTime({from_s + 3600}, 'UTC')"


def hours_with_data(layout: Layout, *, from_at: datetime, to_at: datetime) -> str:
    """Return the query for the hours in a range that hold raw events or rollup rows, as seconds."""
    events, minutes, hours = map(layout.readable, ("events", "rollup_minute", "rollup_hour"))
    bounds = "{column} >= " + moment(from_at) + " AND {column} < " + moment(to_at)
    occurred, bucket = bounds.format(column="occurred_at"), bounds.format(column="bucket")
    return (
        "SELECT DISTINCT toUnixTimestamp(hour) AS at FROM ("
        f"SELECT DISTINCT toStartOfHour(occurred_at) AS hour FROM {events} WHERE {occurred} UNION ALL "
        f"SELECT DISTINCT bucket AS hour FROM {hours} WHERE `cube` = 'topic' AND {bucket} UNION ALL "
        f"SELECT DISTINCT toStartOfHour(bucket) AS hour FROM {minutes} WHERE `cube` = 'topic' AND {bucket}"
        ") ORDER BY at"
    )


def mixed(keys: Hashes, *, raw: Hashes, rolled: Hashes) -> Hashes:
    """Return one number for each difference: a key, its counters from raw events and those of the rollup."""
    mix: Hashes = keys ^ (raw * np.uint64(_MIX_RAW)) ^ (rolled * np.uint64(_MIX_ROLLED))
    return mix


def no_counters() -> str:
    """Return the query for the counter hash of a row of zeros."""
    return f"SELECT cityHash64({', '.join(['toInt64(0)'] * len(COUNTERS))})"


def moment(at: datetime) -> str:
    """Return an instant as an SQL expression."""
    return f"toDateTime64('{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}', 3, 'UTC')"


def _counter_hash() -> str:
    return f"cityHash64({', '.join(COUNTERS)})"


def _tuple(names: Iterable[str]) -> str:
    return f"({', '.join(names)})"


def _zeros() -> str:
    return _tuple(["0"] * len(COUNTERS))
