"""What travels between those who count, the one who decides, and those who hold, beside the bounces themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from postloop.domain.incident.counts import MINUTE_MS, Pulse
from postloop.domain.incident.transitions import IncidentStarted, Transition, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one worker counted for a provider in one minute of event time, since it last said so.

    Attributes:
        parts: (account_id, sender_domain, outcome_count, hard_count), each pair of account and domain once.
    """

    type: Literal["counted"] = "counted"
    provider: str
    minute_ms: int
    parts: tuple[tuple[str, str, int, int], ...]

    def pulses(self) -> Iterator[Pulse]:
        """Yield it in the form in which the guard observes."""
        for account_id, sender_domain, outcome_count, hard_count in self.parts:
            yield Pulse(
                provider=self.provider,
                minute_ms=self.minute_ms,
                account_id=account_id,
                sender_domain=sender_domain,
                outcome_count=outcome_count,
                hard_count=hard_count,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldBegan:
    """Hard bounces of a provider that occurred from `started_ms` on are held."""

    type: Literal["hold_began"] = "hold_began"
    provider: str
    incident_id: str
    started_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldEnded:
    """A hold is over, and what becomes of its bounces is known.

    Attributes:
        until_ms: Event time: later bounces block again, whatever the verdict.
    """

    type: Literal["hold_ended"] = "hold_ended"
    provider: str
    incident_id: str
    started_ms: int
    until_ms: int
    verdict: Verdict


GuardSignal = Counted | HoldBegan | HoldEnded

# The start is estimated by the minute. An outage that begins with the last seconds of a minute shows no excess there,
# and what it blocked then would stay blocked for 14 days.
START_MARGIN_MS: Final = MINUTE_MS


def signal_of(transition: Transition) -> HoldBegan | HoldEnded:
    """Return what those who hold are told of a transition: the hold begins a minute before its estimate."""
    started_ms = transition.started_ms - START_MARGIN_MS
    if isinstance(transition, IncidentStarted):
        return HoldBegan(
            provider=transition.provider, incident_id=transition.incident_id, started_ms=started_ms
        )
    return HoldEnded(
        provider=transition.provider,
        incident_id=transition.incident_id,
        started_ms=started_ms,
        until_ms=transition.until_ms,
        verdict=transition.verdict,
    )
