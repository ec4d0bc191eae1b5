"""The rates of a sender beside those of everybody else on the same shared pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postloop.domain.errors import DataError
from postloop.domain.event_types import IpPoolKind
from postloop.domain.intervals import Interval, wilson

Measure = Literal["hard_bounce", "soft_bounce", "refusal", "complaint", "open", "delay"]


@dataclass(frozen=True, slots=True)
class Side:
    """Hits and cases of one side in one window: complaints of deliveries, say. More hits than cases count as all.

    Raises:
        DataError: a count is negative.
    """

    hit_count: int
    case_count: int

    def __post_init__(self) -> None:
        if min(self.hit_count, self.case_count) < 0:
            raise DataError("out_of_range", "", f"counts start at 0: {self.hit_count}, {self.case_count}")

    @property
    def rate(self) -> float | None:
        """Hits per case; None without cases."""
        return min(self.hit_count / self.case_count, 1.0) if self.case_count else None

    @property
    def interval(self) -> Interval:
        """What the rate may be, 95 %."""
        return wilson(self.hit_count, self.case_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Own and rest side by side; `rest` is None where the pool is not shared."""

    measure: Measure
    own: Side
    rest: Side | None


def compare(*, measure: Measure, kind: IpPoolKind, own: Side, rest: Side) -> Comparison:
    """Return a sender beside the rest of its pool. Who has a dedicated pool is never shown anybody else."""
    return Comparison(measure=measure, own=own, rest=rest if kind == "shared" else None)
