"""Wilson's interval: what a share may be, given how often it was seen (E. B. Wilson, 1927)."""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

Z_95: Final = 1.96
"""Two-sided 95 %."""


class Interval(NamedTuple):
    """Bounds of a rate, 0 <= low <= high <= 1."""

    low: float
    high: float


def wilson_upper(rate: float, count: float, *, z: float = Z_95) -> float:
    """Return the upper bound of a rate seen in so many (more than 0) cases."""
    return min(_bound(rate, count, z=z), 1.0)


def wilson_lower(rate: float, count: float, *, z: float = Z_95) -> float:
    """Return the lower bound of a rate seen in so many (more than 0) cases."""
    return max(_bound(rate, count, z=-z), 0.0)


def wilson(hit_count: float, count: float, *, z: float = Z_95) -> Interval:
    """Return both bounds; anything is possible where nothing was seen.

    More hits than cases (feedback of older mail) count as all of them.
    """
    if count <= 0:
        return Interval(0.0, 1.0)
    rate = min(hit_count / count, 1.0)
    return Interval(wilson_lower(rate, count, z=z), wilson_upper(rate, count, z=z))


def corrected_wilson(*, hit_count: int, count: int, z: float) -> Interval:
    """Return Wilson's interval with the correction for continuity (R. G. Newcombe, 1998, method 4).

    Rates of feedback rest on a handful of events, where the plain interval promises too much: at z = 1.96 its lower
    bound is above the true rate in up to 16 of 100 cases with one event and in 7 with four. Corrected it is in 5.1
    of 100 with one event and in 4.2 with four, and less with more (tests/unit/domain/test_corrected_intervals.py).
    And it needs no table: one formula, in SQL too.

    Raises:
        ValueError: `count` is below 1, or `hit_count` not between 0 and `count`.
    """
    if not 0 <= hit_count <= count or count < 1:
        raise ValueError(f"hit_count is between 0 and count, which is 1 at least: {hit_count}, {count}")
    high = wilson_upper((hit_count + 0.5) / count, count, z=z) if hit_count < count else 1.0
    return Interval(corrected_lower(hit_count=hit_count, count=count, z=z), high)


def corrected_lower(*, hit_count: int, count: int, z: float) -> float:
    """Return the lower end of `corrected_wilson`, of counts that it takes."""
    return wilson_lower((hit_count - 0.5) / count, count, z=z) if hit_count else 0.0


def _bound(rate: float, count: float, *, z: float) -> float:
    z2 = z * z
    half_width = z * sqrt(rate * (1 - rate) / count + z2 / (4 * count * count))
    return (rate + z2 / (2 * count) + half_width) / (1 + z2 / count)
