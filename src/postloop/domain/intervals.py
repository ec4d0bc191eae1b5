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


def _bound(rate: float, count: float, *, z: float) -> float:
    z2 = z * z
    half_width = z * sqrt(rate * (1 - rate) / count + z2 / (4 * count * count))
    return (rate + z2 / (2 * count) + half_width) / (1 + z2 / count)
