"""Sums of the truth over hours and windows, as the rollups and the views must show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from postloop.simulation.checks import Key, Rows
from postloop.simulation.truth import DOMAIN_DIMENSIONS, Counts, Truth

MINUTE_S: Final = 60
HOUR_S: Final = 3600
WINDOWS_S: Final = {"1h": HOUR_S, "24h": 24 * HOUR_S, "7d": 7 * 24 * HOUR_S, "30d": 30 * 24 * HOUR_S}
# 1h and 24h are whole minutes, 7d and 30d whole hours.
_BUCKET_S: Final = {"1h": MINUTE_S, "24h": MINUTE_S, "7d": HOUR_S, "30d": HOUR_S}


def window_bounds(window: str, as_of_s: int) -> tuple[int, int]:
    """Return the buckets of a window: from the first, up to but without the second, seconds since 1970."""
    bucket_s = _BUCKET_S[window]
    end = as_of_s // bucket_s * bucket_s
    start = (as_of_s - WINDOWS_S[window]) // bucket_s * bucket_s
    return start, end


def summed(
    table: Counts,
    columns: Sequence[str],
    *,
    bucket_s: int = 0,
    dimensions: Sequence[str] = (),
    between: tuple[int, int] | None = None,
    keep: Callable[[tuple[str, ...]], bool] = lambda _: True,
) -> Rows:
    """Return sums of some columns of a table by coarser buckets and fewer dimensions.

    Args:
        bucket_s: Length of the buckets of the result; 0 sums over all time.
        dimensions: Those to keep, in this order; none given keeps all.
        between: Only rows whose bucket lies in [first, second), seconds since 1970.
        keep: Whether a group of the result is wanted.
    """
    names = list(table.columns)
    picks = [names.index(column) for column in columns]
    places = [table.dimensions.index(name) for name in dimensions or table.dimensions]
    sums: dict[Key, list[float]] = {}
    for bucket, group, numbers in table.rows():
        if between is not None and not between[0] <= bucket < between[1]:
            continue
        small = tuple(group[place] for place in places)
        key = (bucket // bucket_s * bucket_s if bucket_s else 0, small)
        row = sums.get(key)
        if row is None:
            if not keep(small):
                continue
            row = sums[key] = [0] * len(picks)
        for place, pick in enumerate(picks):
            row[place] += numbers[pick]
    return {key: tuple(row) for key, row in sums.items()}


def in_window(
    truth: Truth, columns: Sequence[str], *, window: str, as_of_s: int, dimensions: Sequence[str]
) -> Rows:
    """Return sums of the domain counters over a window that ends at an instant."""
    return summed(truth.domain, columns, dimensions=dimensions, between=window_bounds(window, as_of_s))


def unique_opens(truth: Truth, dimensions: Sequence[str]) -> Rows:
    """Return exact unique opens (all, human) over the whole run.

    Copies of messages belong to one group each, so that groups may be added up; hours may not.
    """
    columns = ("unique_open_count", "human_open_count")
    return summed(truth.unique_opens, columns, dimensions=dimensions or DOMAIN_DIMENSIONS)


def next_bucket_s(at_ms: int, bucket_s: int) -> int:
    """Return the start of the bucket after the one that holds a moment, in seconds since 1970."""
    return (at_ms // 1000 // bucket_s + 1) * bucket_s
