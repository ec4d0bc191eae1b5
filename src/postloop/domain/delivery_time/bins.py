"""Percentiles of delivery times that are counted by logarithmic bins, as `v_delivery_latency` tells them."""

from __future__ import annotations

from collections.abc import Mapping

_BINS_PER_OCTAVE = 16


def percentile_s(counts: Mapping[int, int], percent: int) -> float:
    """Return the nearest-rank percentile of binned times; seconds.

    It is the middle of the bin that holds the row of that rank, so off by at most 2^(1/32) - 1 = 2.2 %.

    Args:
        counts: Times by bin; bin b holds the times of 2^((b - 1) / 16) to 2^(b / 16) ms, bin 0 those of 0 and 1 ms.
        percent: 1 to 100.

    Raises:
        ValueError: Nothing was counted.
    """
    rank = (sum(counts.values()) * percent + 99) // 100
    reached = 0
    for place in sorted(counts):
        reached += counts[place]
        if reached >= rank > 0:
            return float(2 ** ((place - 0.5) / _BINS_PER_OCTAVE) / 1000)
    raise ValueError("there is no percentile of nothing")
