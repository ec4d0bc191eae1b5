"""What another policy would have said of the same mail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from postloop.domain.reputation.counts import WindowCounts
from postloop.domain.reputation.policy import ReputationPolicy
from postloop.domain.reputation.score import Grade
from postloop.domain.reputation.standing import ReputationState, evaluate
from postloop.domain.reputation.windows import DAY_MS, Bucket, evidence_at


@dataclass(frozen=True, slots=True)
class DailyCounts:
    """Counts of the UTC day that begins at `start_ms` (since 1970)."""

    start_ms: int
    counts: WindowCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeChange:
    """A day at whose end at least one of two policies said something new.

    Attributes:
        start_ms: The beginning of the day.
        before_a, grade_a: At the ends of the day before and of this day, by the first policy.
        before_b, grade_b: By the second.
    """

    start_ms: int
    before_a: Grade
    grade_a: Grade
    before_b: Grade
    grade_b: Grade

    @property
    def is_different(self) -> bool:
        """Whether the policies disagree from this day on."""
        return self.grade_a != self.grade_b


def backtest(
    days: Sequence[DailyCounts], *, policy_a: ReputationPolicy, policy_b: ReputationPolicy
) -> list[GradeChange]:
    """Return the days with a change of grade by either policy, in order.

    Days without mail may be missing: they are judged too, because windows move on. Every day is judged at its end.
    """
    grades_a = grades_by_day(days, policy_a)
    grades_b = grades_by_day(days, policy_b)
    changes = []
    before: tuple[Grade, Grade] = ("unknown", "unknown")
    for start_ms, grade_a in grades_a.items():
        now = (grade_a, grades_b[start_ms])
        if now != before:
            changes.append(
                GradeChange(
                    start_ms=start_ms, before_a=before[0], grade_a=now[0], before_b=before[1], grade_b=now[1]
                )
            )
        before = now
    return changes


def grades_by_day(days: Sequence[DailyCounts], policy: ReputationPolicy) -> dict[int, Grade]:
    """Return the grade at the end of each day, from the first to the last, by the beginning of the day."""
    by_day: defaultdict[int, WindowCounts] = defaultdict(WindowCounts)
    for day in days:
        by_day[day.start_ms // DAY_MS] += day.counts
    state = ReputationState()
    grades: dict[int, Grade] = {}
    for number in range(min(by_day, default=0), max(by_day, default=-1) + 1):
        start_ms, now_ms = number * DAY_MS, (number + 1) * DAY_MS
        seen = [Bucket(n * DAY_MS, by_day[n]) for n in range(number - 29, number + 1) if n in by_day]
        evidence = evidence_at(seen, now_ms=now_ms, representative_count=policy.representative_count)
        state, _ = evaluate(state, evidence, policy, now_ms)
        grades[start_ms] = state.standing.grade
    return grades
