"""What the guard counts: outcomes and, among them, bounces that say the recipient does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.providers import CORPORATE, OTHER, PROVIDERS

MINUTE_MS: Final = 60_000

_GUARDED: Final = frozenset(PROVIDERS) - {CORPORATE, OTHER}


def is_guarded(provider: str) -> bool:
    """Return whether bounces of this provider can be held.

    Only named providers: `corporate` and `other` are thousands of unlike servers whose common rate says nothing of
    any of them, and one company's server that goes wrong is no outage of a provider.
    """
    return provider in _GUARDED


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes (deliveries and final bounces) and the hard bounces for the recipient's fault among them."""

    outcome_count: int = 0
    hard_count: int = 0

    @property
    def rate(self) -> float:
        """Hard bounces per outcome; 0 without outcomes."""
        return self.hard_count / self.outcome_count if self.outcome_count else 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.outcome_count + other.outcome_count, self.hard_count + other.hard_count)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.outcome_count - other.outcome_count, self.hard_count - other.hard_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What one worker counted for one provider, account and sender domain in one minute of event time.

    Several pulses may be about the same minute, in any order and some minutes late: they are added up. A pulse
    that is passed twice counts twice; keeping repeats away (by the offset of its record) is up to the caller.

    Attributes:
        minute_ms: Any moment of the minute, in milliseconds since 1970.
        outcome_count: Deliveries and final bounces.
        hard_count: Final bounces, hard, for the recipient's own fault.

    Raises:
        DataError: a count is negative, or there are more hard bounces than outcomes.
    """

    provider: str
    minute_ms: int
    account_id: str
    sender_domain: str
    outcome_count: int
    hard_count: int

    def __post_init__(self) -> None:
        if not 0 <= self.hard_count <= self.outcome_count:
            text = f"hard_count is between 0 and outcome_count ({self.outcome_count}): {self.hard_count}"
            raise DataError("out_of_range", "hard_count", text)

    @property
    def counts(self) -> Counts:
        """The two counts alone."""
        return Counts(self.outcome_count, self.hard_count)
