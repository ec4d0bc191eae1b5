"""The score of a sender: the weakest factor rules, each judged by what is surely so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from postloop.domain.reputation.counts import FACTORS, FactorName, WindowCounts
from postloop.domain.reputation.policy import Limits, ReputationPolicy
from postloop.domain.reputation.rates import Rate, RateVerdict, low_of, rate_of
from postloop.domain.reputation.windows import Evidence, WindowName

Grade = Literal["high", "medium", "low", "bad", "unknown"]
GRADES: Final[tuple[Grade, ...]] = get_args(Grade)

TOP_SCORE: Final[dict[Grade, float]] = {"high": 100.0, "medium": 79.0, "low": 59.0, "bad": 39.0}
"""The highest score of each grade (contracts: high from 80, medium from 60, low from 40)."""
_BOTTOM_SCORE: Final[dict[Grade, float]] = {"high": 80.0, "medium": 60.0, "low": 40.0, "bad": 0.0}
RANK: Final[dict[Grade, int]] = {"bad": 0, "low": 1, "medium": 2, "high": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One reason for a score.

    Attributes:
        window: Of the judged windows the one that speaks most against the sender.
        rate: With its interval, of that window.
        score: What the sender would have with this factor alone.
        weight: This factor's share of all points lost, 0 to 1.
        verdict: `critical` and `warning` hold the score down; `watch` is above a limit, but not surely, and changes
            nothing.
        watched_rate: The highest limit that the rate is above without being it surely; None where there is none. A
            factor that is surely above its warning limit can be watched for its critical one.
        to_next_grade: So many bad mails fewer in the window, with as much mail, and this factor alone would allow a
            better grade than it does; None where it allows the best.
        next_grade_rate: The rate that leaves; None likewise.
    """

    name: FactorName
    window: WindowName
    rate: Rate
    score: float
    weight: float
    verdict: RateVerdict
    watched_rate: float | None
    to_next_grade: int | None
    next_grade_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a sender's mail of the last 30 days says.

    Attributes:
        score: 0 to 100, one decimal; None while unknown.
        factors: The weakest first.
        counts: Of 30 days.
    """

    score: float | None
    grade: Grade
    factors: tuple[Factor, ...]
    counts: WindowCounts


def score(evidence: Evidence, policy: ReputationPolicy) -> Score:
    """Return the score of a sender.

    One bad mail more never raises it; one delivery more never lowers it, unless it makes a factor judgeable at all
    (the first outcomes after `min_outcome_count`, the first delivery to a provider that reports complaints) or ages
    the newest days that are `recent`.
    """
    counts = evidence.counts("30d")
    drafts = sorted((_draft(name, evidence, policy) for name in FACTORS), key=lambda draft: draft.score)
    factors = _weighed(drafts)
    if counts.outcome_count < policy.min_outcome_count:
        return Score(score=None, grade="unknown", factors=factors, counts=counts)
    lowest = factors[0].score
    return Score(score=lowest, grade=grade_of(lowest), factors=factors, counts=counts)


def score_only(evidence: Evidence, policy: ReputationPolicy) -> float | None:
    """Return the number that `score` gives, without explaining it: a tenth of the time."""
    if evidence.counts("30d").outcome_count < policy.min_outcome_count:
        return None
    if all(evidence.counts(window).is_clean for window in policy.judged_windows):
        return 100.0
    return min(_worst_window(name, evidence, policy)[1] for name in FACTORS)


def grade_of(value: float | None) -> Grade:
    """Return the grade of a score."""
    if value is None:
        return "unknown"
    return next(grade for grade, bottom in _BOTTOM_SCORE.items() if value >= bottom)


def factor_score(*, bad_count: int, base_count: int, limits: Limits, policy: ReputationPolicy) -> float:
    """Return what a sender would have with this factor alone, 0 to 100 with one decimal.

    Only the lower bound counts. It falls evenly from 100 at 0 to 80 at half the warning limit, from 79 to 60 at the
    warning limit and from 59 to 40 at the critical one; above it 39 shrinks as the bound grows.
    """
    if not base_count or not bad_count:
        return 100.0
    low = low_of(bad_count=bad_count, base_count=base_count, z=policy.bound_z)
    if bad_count < policy.min_bad_count:
        low = min(low, limits.warning_rate)
    half, warning, critical = limits.warning_rate / 2, limits.warning_rate, limits.critical_rate
    if low > critical:
        return round(TOP_SCORE["bad"] * critical / low, 1)
    if low > warning:
        return _between("low", (low - warning) / (critical - warning))
    if low > half:
        return _between("medium", (low - half) / (warning - half))
    return _between("high", low / half)


def _between(grade: Grade, way: float) -> float:
    top, bottom = TOP_SCORE[grade], _BOTTOM_SCORE[grade]
    return round(top - (top - bottom) * min(way, 1.0), 1)


def _share(factor: FactorName, evidence: Evidence, window: WindowName) -> tuple[int, int]:
    bad, base = evidence.counts(window).share_of(factor)
    if factor == "complaints" and window == "24h":
        return bad, max(base, evidence.peak_reporting_count)
    return bad, base


def _worst_window(
    name: FactorName, evidence: Evidence, policy: ReputationPolicy
) -> tuple[WindowName, float, tuple[int, int]]:
    """Return the window with the lowest score; among equal ones that with most mail, which is the surest."""
    limits = policy.limits_of(name)
    found = []
    for window in policy.judged_windows:
        bad, base = _share(name, evidence, window)
        value = factor_score(bad_count=bad, base_count=base, limits=limits, policy=policy)
        found.append((window, value, (bad, base)))
    return min(found, key=lambda judged: (judged[1], -judged[2][1]))


def _draft(name: FactorName, evidence: Evidence, policy: ReputationPolicy) -> Factor:
    window, value, (bad, base) = _worst_window(name, evidence, policy)
    limits = policy.limits_of(name)
    rate = rate_of(bad_count=bad, base_count=base, z=policy.bound_z)
    fewer = _fewer(bad, base, limits, policy)
    return Factor(
        name=name,
        window=window,
        rate=rate,
        score=value,
        weight=0.0,
        verdict=_verdict(rate, value, limits),
        watched_rate=_watched_rate(rate, value, limits),
        to_next_grade=fewer,
        next_grade_rate=None if fewer is None else (bad - fewer) / max(base, bad),
    )


def _weighed(drafts: list[Factor]) -> tuple[Factor, ...]:
    lost = sum(100.0 - draft.score for draft in drafts) or 1.0
    return tuple(replace(draft, weight=round((100.0 - draft.score) / lost, 3)) for draft in drafts)


def _fewer(bad: int, base: int, limits: Limits, policy: ReputationPolicy) -> int | None:
    """Return how many bad mails fewer would be a better grade: a search by halves, since fewer never lower it."""

    def rank(bad_count: int) -> int:
        value = factor_score(bad_count=bad_count, base_count=max(base, bad), limits=limits, policy=policy)
        return RANK[grade_of(value)]

    if not base:
        return None
    now = rank(bad)
    if now == RANK["high"]:
        return None
    enough, too_many = 0, bad
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        enough, too_many = (middle, too_many) if rank(middle) > now else (enough, middle)
    return bad - enough


def _verdict(rate: Rate, value: float, limits: Limits) -> RateVerdict:
    if rate.rate is None:
        return "not_enough_data"
    grade = grade_of(value)
    if grade in ("bad", "low"):
        return "critical" if grade == "bad" else "warning"
    if _watched_rate(rate, value, limits) is not None:
        return "watch"
    return "not_enough_data" if rate.high > limits.critical_rate else "good"


def _watched_rate(rate: Rate, value: float, limits: Limits) -> float | None:
    seen, grade = rate.rate or 0.0, grade_of(value)
    if seen > limits.critical_rate and grade != "bad":
        return limits.critical_rate
    if seen > limits.warning_rate and grade not in ("bad", "low"):
        return limits.warning_rate
    return None
