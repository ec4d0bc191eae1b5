"""The limits of a reputation, as data, with the reason for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.reputation.counts import FactorName
from postloop.domain.reputation.windows import WindowName


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Two lines of one factor, and what is usual. Rates are fractions.

    Attributes:
        warning_rate: Surely above it: low.
        critical_rate: Surely above it: bad.
        prior_rate: What senders usually have; for display only.
        prior_count: How many mails of evidence that is worth; for display only.

    Raises:
        DataError: `out_of_range`, not 0 < warning < critical <= 1, or a prior that is none.
    """

    warning_rate: float
    critical_rate: float
    prior_rate: float = 0.01
    prior_count: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.warning_rate < 1:
            raise _out_of_range("warning_rate", "between 0 and 1, both excluded", self.warning_rate)
        if not self.warning_rate < self.critical_rate <= 1:
            limit = f"above warning_rate ({self.warning_rate}) and 1 at most"
            raise _out_of_range("critical_rate", limit, self.critical_rate)
        if not 0 <= self.prior_rate <= 1:
            raise _out_of_range("prior_rate", "between 0 and 1", self.prior_rate)
        if self.prior_count < 0:
            raise _out_of_range("prior_count", "0 at least", self.prior_count)

    def scaled(self, share: float) -> Limits:
        """Return the same with both lines at a share (0 to 1) of their height."""
        return replace(self, warning_rate=self.warning_rate * share, critical_rate=self.critical_rate * share)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationPolicy:
    """When a sender is good or bad, and when it is again.

    Attributes:
        complaints, hard_bounces, refusals: The limits of each factor.
        min_outcome_count: Fewer outcomes in 30 days give no verdict: `unknown`.
        min_bad_count: So few bad mails never hold a score below medium, however little mail there was: the third
            complaint may be the same person's. Four are needed.
        bound_z: Of the interval; with 1.96 the lower bound of four events and more is above the true rate with a
            probability of 0.042 at most.
        judged_windows: The worst of them counts. A day finds a burst, a week what is too little for a day's bound,
            `recent` judges senders whose week is too small.
        representative_count: Outcomes that make `recent`, taken from the newest days, 30 at most. At 3,000 a rate of
            twice the line of 0.001 is told from the line (2,750 by Wilson).
        release_share: To rise, a sender has to keep below this share of the limits ...
        clean_days: ... for so long without a break. Google lifts nothing before 7 days below its line, and with 3
            a sender just above a limit rose and fell twice as often (docs/reputation.md).
        throttle_below_score: Of grade low: below this less mail is advised, above a warning.

    Raises:
        DataError: `out_of_range`, a value that cannot be meant.
    """

    complaints: Limits = Limits(warning_rate=0.001, critical_rate=0.003, prior_rate=0.0005, prior_count=1_000)
    hard_bounces: Limits = Limits(warning_rate=0.05, critical_rate=0.10)
    refusals: Limits = Limits(warning_rate=0.05, critical_rate=0.10)
    min_outcome_count: int = 100
    min_bad_count: int = 4
    bound_z: float = 1.96
    judged_windows: tuple[WindowName, ...] = ("24h", "7d", "recent")
    representative_count: int = 3_000
    release_share: float = 0.8
    clean_days: float = 7
    throttle_below_score: float = 50

    def __post_init__(self) -> None:
        for name in ("min_outcome_count", "min_bad_count", "representative_count"):
            if getattr(self, name) < 1:
                raise _out_of_range(name, "1 at least", getattr(self, name))
        if not 0 < self.bound_z <= 10:
            raise _out_of_range("bound_z", "above 0 and 10 at most", self.bound_z)
        if not 0 < self.release_share <= 1:
            raise _out_of_range("release_share", "above 0 and 1 at most", self.release_share)
        if not 0 <= self.clean_days <= 30:
            raise _out_of_range("clean_days", "between 0 and 30", self.clean_days)
        if not 40 <= self.throttle_below_score <= 60:
            raise _out_of_range("throttle_below_score", "between 40 and 60", self.throttle_below_score)
        if not self.judged_windows:
            raise DataError("out_of_range", "judged_windows", "judged_windows names one window at least")

    def limits_of(self, factor: FactorName) -> Limits:
        """Return the limits of a factor."""
        limits: Limits = getattr(self, factor)
        return limits

    def for_rising(self) -> ReputationPolicy:
        """Return the stricter policy that a sender has to pass for a better grade."""
        return _for_rising(self)


DEFAULT_REPUTATION_POLICY: Final = ReputationPolicy()

PRESETS: Final = MappingProxyType(
    {
        "default": DEFAULT_REPUTATION_POLICY,
        # Tencent Cloud SES, "sender domain levels": warning is what an upgrade asks for (invalid < 5 %, spam bounces
        # < 2.5 %, complaints < 0.1 %), critical what costs a level (> 9 %, > 5 %, > 0.5 %).
        "tencent": ReputationPolicy(
            complaints=replace(DEFAULT_REPUTATION_POLICY.complaints, critical_rate=0.005),
            hard_bounces=Limits(warning_rate=0.05, critical_rate=0.09),
            refusals=Limits(warning_rate=0.025, critical_rate=0.05),
        ),
        # AWS SES, "reputation dashboard messages": review at 5 % bounces or 0.1 % complaints, sending may be paused
        # at 10 % or 0.5 %. Nothing is published on refusals: the default stays.
        "aws": ReputationPolicy(
            complaints=replace(DEFAULT_REPUTATION_POLICY.complaints, critical_rate=0.005)
        ),
        # Google, "Email sender guidelines": below 0.1 %, never 0.3 %, mitigation after 7 days below: these are the
        # defaults. Nothing is published on bounces.
        "google": DEFAULT_REPUTATION_POLICY,
    }
)
"""Published limits by the name of who published them."""


@lru_cache(maxsize=64)
def _for_rising(policy: ReputationPolicy) -> ReputationPolicy:
    share = policy.release_share
    return replace(
        policy,
        complaints=policy.complaints.scaled(share),
        hard_bounces=policy.hard_bounces.scaled(share),
        refusals=policy.refusals.scaled(share),
    )


def _out_of_range(name: str, limit: str, value: float) -> DataError:
    return DataError("out_of_range", name, f"{name} is {limit}: {value}")
