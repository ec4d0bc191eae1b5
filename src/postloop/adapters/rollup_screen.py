"""A quick look over many hours at once: in which do the rollups surely hold as many events as the raw table?

A rollup that lost a part, or got one twice, lost or doubled whole rows in every cube; so the number of events of
an hour tells it. Hours that agree need no closer comparison, and most queued hours do: a run with a few late events
touches dozens of hours, and comparing each by key takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.migration_render import Layout
from postloop.adapters.rollup_sql import ROLLUPS

HOURS_PER_QUERY: Final = 1_000
# An event may be stored up to a day before it occurred.
_STORED_BEFORE: Final = timedelta(hours=25)


def hours_that_agree(client: Client, layout: Layout, hours: Sequence[datetime]) -> set[datetime]:
    """Return those of the hours whose rollups count as many events as are stored raw, repeats included.

    The rollups are read first: rows that arrive meanwhile can only make an hour look different, never equal.

    Raises:
        UnavailableError, RefusedError: ClickHouse cannot be asked.
    """
    agreed: set[datetime] = set()
    for start in range(0, len(hours), HOURS_PER_QUERY):
        part = sorted(hours[start : start + HOURS_PER_QUERY])
        rolled = [
            _counts(
                client,
                f"SELECT toUnixTimestamp(toStartOfHour(bucket)) AS h, sum(event_count) "  # noqa: S608  our own names
                f"FROM {layout.readable(rollup.table)} WHERE cube = 'topic' "
                "AND bucket >= {first:DateTime} AND bucket < {end:DateTime} AND h IN {hours:Array(UInt32)} GROUP BY h",
                part,
            )
            for rollup in ROLLUPS
        ]
        raw = _counts(
            client,
            f"SELECT toUnixTimestamp(toStartOfHour(occurred_at)) AS h, count() "  # noqa: S608  our own names
            f"FROM {layout.readable('events')} WHERE record_at >= {{stored:DateTime}} "
            "AND occurred_at >= {first:DateTime} AND occurred_at < {end:DateTime} "
            "AND h IN {hours:Array(UInt32)} GROUP BY h",
            part,
        )
        agreed |= {hour for hour in part if all(counts.get(hour, 0) == raw.get(hour, 0) for counts in rolled)}
    return agreed


def _counts(client: Client, query: str, hours: Sequence[datetime]) -> dict[datetime, int]:
    parameters = {
        "first": hours[0],
        "end": hours[-1] + timedelta(hours=1),
        "stored": hours[0] - _STORED_BEFORE,
        "hours": [int(hour.timestamp()) for hour in hours],
    }
    with translated("the hours cannot be counted"):
        rows = client.query(query, parameters=parameters).result_rows
    return {datetime.fromtimestamp(hour, UTC): int(count) for hour, count in rows}
