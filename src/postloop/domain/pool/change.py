"""How much of a change of a sender's rate the whole pool went through, and how much is its own.

The rest of the pool is the control: what happened to everybody else on the same addresses would have happened to this
sender too. Its odds change by a factor; the sender's old rate moved by that factor is the common part, what is
missing to its new rate is its own. Odds and not rates, because senders of one pool start from different rates: where
theirs double from 0.5 % to 1 %, ours of 4 % become 7.7 %, and never more than all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final, Literal

from postloop.domain.event_types import IpPoolKind
from postloop.domain.pool.compare import Measure, Side

Verdict = Literal["common", "own", "both", "none", "not_enough_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """When a part counts.

    Attributes:
        min_case_count: Cases on each side and in each window, for a verdict.
        z: How sure a part must be: 2.24 are 95 % for both together.
        min_part_share: A part that is sure but smaller than this share of both is not worth a word.
    """

    min_case_count: int = 100
    z: float = 2.24
    min_part_share: float = 0.1


DEFAULT_POOL_POLICY: Final = PoolPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change in two parts: `after_rate - before_rate == common_part + own_part`.

    Attributes:
        before_rate: The sender's own; None without cases, like everything that is made of it.
        after_rate: Likewise.
        common_part: What the rest of the pool went through as well; None where the pool is not shared.
        own_part: What remains; the whole change where the pool is not shared.
    """

    measure: Measure
    kind: IpPoolKind
    verdict: Verdict
    before_rate: float | None
    after_rate: float | None
    common_part: float | None
    own_part: float | None


def decompose(
    *,
    measure: Measure,
    kind: IpPoolKind,
    own_before: Side,
    own_after: Side,
    rest_before: Side,
    rest_after: Side,
    policy: PoolPolicy = DEFAULT_POOL_POLICY,
) -> Change:
    """Return the parts of a change between two windows that do not overlap.

    The rest is the pool without the sender. It is not looked at unless the pool is shared; it may be empty.
    """
    is_shared = kind == "shared" and rest_before.case_count > 0 and rest_after.case_count > 0
    before, after = own_before.rate, own_after.rate
    common = None
    if before is not None and after is not None and is_shared:
        common = _common_part(own_before, before, _log_odds(rest_after) - _log_odds(rest_before))
    own = None if before is None or after is None else after - before - (common or 0.0)
    windows = [own_before, own_after, *([rest_before, rest_after] if is_shared else [])]
    verdict: Verdict = "not_enough_data"
    if own is not None and min(s.case_count for s in windows) >= policy.min_case_count:
        verdict = _verdict(windows, common, own, policy)
    return Change(
        measure=measure,
        kind=kind,
        verdict=verdict,
        before_rate=before,
        after_rate=after,
        common_part=common,
        own_part=own,
    )


def _verdict(windows: list[Side], common: float | None, own: float, policy: PoolPolicy) -> Verdict:
    own_change = _log_odds(windows[1]) - _log_odds(windows[0])
    own_variance = _variance(windows[0]) + _variance(windows[1])
    if common is None:
        return "own" if abs(own_change) > policy.z * sqrt(own_variance) else "none"
    rest_change = _log_odds(windows[3]) - _log_odds(windows[2])
    rest_variance = _variance(windows[2]) + _variance(windows[3])
    least = policy.min_part_share * (abs(common) + abs(own))
    is_common = abs(rest_change) > policy.z * sqrt(rest_variance) and abs(common) >= least
    is_own = (
        abs(own_change - rest_change) > policy.z * sqrt(own_variance + rest_variance) and abs(own) >= least
    )
    if is_common:
        return "both" if is_own else "common"
    return "own" if is_own else "none"


def _log_odds(side: Side) -> float:
    """Return the logarithm of the odds; half a case on each side keeps it finite (J. B. S. Haldane, 1956)."""
    hits = min(side.hit_count, side.case_count)
    return log((hits + 0.5) / (side.case_count - hits + 0.5))


def _variance(side: Side) -> float:
    """Return the variance of `_log_odds`."""
    hits = min(side.hit_count, side.case_count)
    return 1 / (hits + 0.5) + 1 / (side.case_count - hits + 0.5)


def _common_part(own_before: Side, before: float, log_factor: float) -> float:
    """Return by how much a rate changes whose odds are multiplied; the rate stays between 0 and 1.

    The odds are the smoothed ones: none seen in a few hundred is no rate of zero, which nothing would move.
    """
    log_odds = _log_odds(own_before)
    moved = _rate_of(log_odds + log_factor) - _rate_of(log_odds)
    return min(max(moved, -before), 1 - before)


def _rate_of(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))
