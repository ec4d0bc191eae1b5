"""How probable a count is by chance, at a known rate."""

from __future__ import annotations

from math import exp, log


def tail_bound(*, hit_count: float, count: float, rate: float) -> float:
    """Return at most how probable so many hits or more are by chance, at this rate (0 < rate < 1).

    Chernoff's bound of the binomial tail (W. Hoeffding, 1963, theorem 1): never below the true value, and as
    quick for a million cases as for three. Counts may be divided by the size of clumps before.
    """
    seen = hit_count / count if count else 0.0
    if seen <= rate:
        return 1.0
    divergence = seen * log(seen / rate)
    if seen < 1:
        divergence += (1 - seen) * log((1 - seen) / (1 - rate))
    return exp(-count * divergence)
