"""What is to be done with a hard bounce of a provider: let it block, hold it, or forget it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from postloop.domain.incident.signals import HoldBegan, HoldEnded
from postloop.domain.incident.transitions import Verdict

Fate = Literal["apply", "hold", "discard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastHold:
    """A hold that is over. Bounces from `started_ms` to before `until_ms` (event time) belong to it."""

    incident_id: str
    started_ms: int
    until_ms: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderHolds:
    """The holds of one provider, as those know them who keep its bounces.

    Attributes:
        incident_id: Of the hold that goes on; empty when there is none.
        started_ms: Its start, event time.
        past: Those that ended, so that bounces that are read late, or again, meet the same fate.
    """

    provider: str
    incident_id: str = ""
    started_ms: int = 0
    past: tuple[PastHold, ...] = ()

    def fate(self, at_ms: int) -> Fate:
        """Return what becomes of a hard bounce that occurred then."""
        if self.incident_id and at_ms >= self.started_ms:
            return "hold"
        discarded = any(p.verdict == "discard" and p.started_ms <= at_ms < p.until_ms for p in self.past)
        return "discard" if discarded else "apply"

    def began(self, signal: HoldBegan) -> ProviderHolds:
        """Return the holds with one that begins; as they were when it is over already (the signal is read again).

        A second hold takes the place of one whose end was never told, and reaches as far back.
        """
        if any(p.incident_id == signal.incident_id for p in self.past):
            return self
        started_ms = min(self.started_ms, signal.started_ms) if self.incident_id else signal.started_ms
        return replace(self, incident_id=signal.incident_id, started_ms=started_ms)

    def ended(self, signal: HoldEnded, *, memory_ms: int) -> ProviderHolds:
        """Return the holds without one that ended.

        Args:
            memory_ms: A bounce that is older can block nobody, so a hold from before is forgotten.
        """
        goes_on = self.incident_id != signal.incident_id
        started_ms = signal.started_ms if goes_on else min(self.started_ms, signal.started_ms)
        over = PastHold(
            incident_id=signal.incident_id,
            started_ms=started_ms,
            until_ms=signal.until_ms,
            verdict=signal.verdict,
        )
        known = {p.incident_id: p for p in (over, *self.past)}
        past = sorted(known.values(), key=lambda p: (p.started_ms, p.incident_id))
        kept = tuple(p for p in past if p.until_ms > signal.until_ms - memory_ms)
        if goes_on:
            return replace(self, past=kept)
        return replace(self, incident_id="", started_ms=0, past=kept)
