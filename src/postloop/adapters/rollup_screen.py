"""A quick look over many hours at once: in which do the rollups surely hold as many events as the raw table?

A rollup that lost a part, or got one twice, lost or doubled whole rows in every cube; so the number of events of
an hour tells it. Hours that agree need no closer comparison, and most queued hours do: a run with a few late events
touches dozens of hours, and comparing each by key takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from clickhouse_connect.driver.client import Client

from postloop.adapters.clickhouse import translated
from postloop.adapters.migration_render import Layout
from postloop.adapters.rollup_sql import ROLLUPS, Rollup
from postloop.adapters.running_inserts import wait_for_running_inserts

HOURS_PER_QUERY: Final = 1_000


@dataclass(frozen=True)
class Screened:
    """What a quick look says of hours: those that agree, and those whose raw rows grew while it was taken."""

    agreed: set[datetime]
    moving: set[datetime]


def screen_hours(
    client: Client, layout: Layout, hours: Sequence[datetime], *, wait_s: float = 60.0
) -> Screened:
    """Return which of the hours have rollups that count as many events as are stored raw, repeats included.

    The raw rows are counted before and after the rollups: an hour that moved meanwhile does not agree. The inserts
    that ran at the first count have ended at the second: their rows may be there before their rollups are, and such
    an hour only seems to differ.

    Args:
        client: A connection to the database.
        layout: Where the tables live.
        hours: Instants at which hours begin.
        wait_s: Longest wait for the inserts that run.

    Raises:
        UnavailableError: ClickHouse cannot be reached, or an insert ran for longer than `wait_s`.
        RefusedError: ClickHouse refused a query.
    """
    found = Screened(set(), set())
    for start in range(0, len(hours), HOURS_PER_QUERY):
        part = sorted(hours[start : start + HOURS_PER_QUERY])
        before = _raw_counts(client, layout, part)
        wait_for_running_inserts(client, layout, wait_s=wait_s)
        rolled = [_rolled_counts(client, layout, rollup, part) for rollup in ROLLUPS]
        after = _raw_counts(client, layout, part)
        for hour in part:
            counts = {counts.get(hour, 0) for counts in (before, *rolled, after)}
            if len(counts) == 1:
                found.agreed.add(hour)
            elif before.get(hour, 0) != after.get(hour, 0):
                found.moving.add(hour)
    return found


def _raw_counts(client: Client, layout: Layout, hours: Sequence[datetime]) -> dict[datetime, int]:
    query = (
        "SELECT toUnixTimestamp(toStartOfHour(occurred_at)) AS h, count() "  # noqa: S608  our own names
        f"FROM {layout.readable('events')} "
        "WHERE occurred_at >= {first:DateTime} AND occurred_at < {end:DateTime} "
        "AND h IN {hours:Array(UInt32)} GROUP BY h"
    )
    return _counts(client, query, hours)


def _rolled_counts(
    client: Client, layout: Layout, rollup: Rollup, hours: Sequence[datetime]
) -> dict[datetime, int]:
    query = (
        "SELECT toUnixTimestamp(toStartOfHour(bucket)) AS h, sum(event_count) "  # noqa: S608  our own names
        f"FROM {layout.readable(rollup.table)} WHERE `cube` = 'topic' "
        "AND bucket >= {first:DateTime} AND bucket < {end:DateTime} AND h IN {hours:Array(UInt32)} GROUP BY h"
    )
    return _counts(client, query, hours)


def _counts(client: Client, query: str, hours: Sequence[datetime]) -> dict[datetime, int]:
    parameters = {
        "first": hours[0],
        "end": hours[-1] + timedelta(hours=1),
        "hours": [int(hour.timestamp()) for hour in hours],
    }
    with translated("the hours cannot be counted"):
        rows = client.query(query, parameters=parameters).result_rows
    return {datetime.fromtimestamp(hour, UTC): int(count) for hour, count in rows}
