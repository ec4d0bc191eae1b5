"""Medians and ratios of interleaved rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The median of some runs, with the smallest and the largest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of some values; None when there is none."""
    return Spread(median(values), min(values), max(values)) if values else None


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Return ours / theirs for each round in which both have a value above 0.

    Rounds are compared with themselves: the machine's slow phases then hit both sides.
    """
    return [ours[number] / theirs[number] for number in sorted(ours) if theirs.get(number, 0) > 0]
