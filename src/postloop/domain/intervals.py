"""How sure a rate is: intervals of a proportion that was counted (E. B. Wilson, 1927)."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple


class Interval(NamedTuple):
    """Where the true rate hardly is not: fractions in [0, 1], `low <= high`."""

    low: float
    high: float


def wilson_upper(rate: float, count: float, *, z: float) -> float:
    """Return Wilson's upper bound of a rate seen in so many outcomes."""
    middle, half_width, scale = _parts(rate, count, z)
    return (middle + half_width) / scale


def wilson_lower(rate: float, count: float, *, z: float) -> float:
    """Return Wilson's lower bound of a rate seen in so many outcomes."""
    middle, half_width, scale = _parts(rate, count, z)
    return (middle - half_width) / scale


def corrected_wilson(*, hit_count: int, count: int, z: float) -> Interval:
    """Return Wilson's interval with the correction for continuity (R. G. Newcombe, 1998, method 4).

    Rates of feedback rest on a handful of events, where the plain interval promises too much: at z = 1.96 its lower
    bound is above the true rate in up to 16 of 100 cases with one event and in 7 with four. Corrected it is in 5.1
    of 100 with one event and in 4.2 with four, and less with more (tests/unit/domain/test_intervals.py); and it needs
    no table: one formula, in SQL too.

    Raises:
        ValueError: `count` is below 1, or `hit_count` not between 0 and `count`.
    """
    if not 0 <= hit_count <= count or count < 1:
        raise ValueError(f"hit_count is between 0 and count, which is 1 at least: {hit_count}, {count}")
    high = wilson_upper((hit_count + 0.5) / count, count, z=z) if hit_count < count else 1.0
    return Interval(corrected_lower(hit_count=hit_count, count=count, z=z), min(high, 1.0))


def corrected_lower(*, hit_count: int, count: int, z: float) -> float:
    """Return the lower end of `corrected_wilson`, of counts that it takes."""
    return max(wilson_lower((hit_count - 0.5) / count, count, z=z), 0.0) if hit_count else 0.0


def _parts(rate: float, count: float, z: float) -> tuple[float, float, float]:
    z2 = z * z
    half_width = z * sqrt(rate * (1 - rate) / count + z2 / (4 * count * count))
    return rate + z2 / (2 * count), half_width, 1 + z2 / count
