"""The thresholds of the blocklist, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How long an address stays blocked, and after what. The defaults are the published rules.

    Attributes:
        lease_ms: How long a hard bounce for the recipient's own fault blocks, from the bounce.
        lease_ms_of: Other durations for some reasons.
        escalation: Factors on the duration of the first, second, third ... lease in a row of one address; the last
            one stays. Empty: every lease is as long as the first.
        soft_reasons: Reasons of soft bounces that count towards a block.
        soft_days: On so many different UTC days within `soft_window_ms` such bounces block like a hard one.
        soft_window_ms: See `soft_days`.
        release_on_delivery: A delivery after a bounce ends the block that the bounce made.
        operator_contact: Told where only an operator can help.
    """

    lease_ms: int = 14 * DAY_MS
    lease_ms_of: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    escalation: tuple[float, ...] = ()
    soft_reasons: frozenset[str] = frozenset({"mailbox_full", "mailbox_disabled"})
    soft_days: int = 3
    soft_window_ms: int = 14 * DAY_MS
    release_on_delivery: bool = False
    operator_contact: str = ""

    def lease_of(self, reason: str, *, term: int) -> int:
        """Return how long a bounce for this reason blocks, after `term` leases that ran out. Milliseconds."""
        lease_ms = self.lease_ms_of.get(reason, self.lease_ms)
        if not self.escalation:
            return lease_ms
        return int(lease_ms * self.escalation[min(term, len(self.escalation) - 1)])

    @property
    def longest_lease_ms(self) -> int:
        """The longest time that any bounce can block. Milliseconds."""
        longest = max([self.lease_ms, *self.lease_ms_of.values()])
        return int(longest * max(self.escalation, default=1.0))

    @property
    def shortest_lease_ms(self) -> int:
        """The shortest time that a bounce blocks. Milliseconds."""
        shortest = min([self.lease_ms, *self.lease_ms_of.values()])
        return int(shortest * min(self.escalation, default=1.0))

    @property
    def memory_ms(self) -> int:
        """How far back a bounce can still matter: a run of soft bounces, and then its lease. Milliseconds."""
        return self.longest_lease_ms + self.soft_window_ms


DEFAULT_POLICY: Final = Policy()
