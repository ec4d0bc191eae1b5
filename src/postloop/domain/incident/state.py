"""What is kept of one provider: its usual rate, its last minutes, and whether its bounces are held."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from postloop.domain.errors import DataError
from postloop.domain.incident.counts import Counts
from postloop.domain.incident.policy import GuardPolicy

Parts = dict[str, Counts]

_MAX_NAME_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Baseline:
    """Outcomes and hard bounces of usual minutes, each worth half after the policy's half life.

    Attributes:
        at_ms: The newest minute learned; the weights are those of that moment.
    """

    outcome_weight: float = 0.0
    hard_weight: float = 0.0
    at_ms: int = 0

    def kept_share(self, policy: GuardPolicy, *, at_ms: int) -> float:
        """Return what part of the weights is left at a later moment."""
        return float(0.5 ** (max(at_ms - self.at_ms, 0) / policy.half_life_ms))

    def learned(self, counts: Counts, policy: GuardPolicy, *, at_ms: int) -> Baseline:
        """Return the baseline with one more minute, not older than the last one."""
        kept = self.kept_share(policy, at_ms=at_ms)
        return Baseline(
            outcome_weight=self.outcome_weight * kept + counts.outcome_count,
            hard_weight=self.hard_weight * kept + counts.hard_count,
            at_ms=at_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """One minute of event time.

    Attributes:
        total: Of everybody; what it has more than the sum of its parts is of parts that are not kept.
        accounts: Those with most mail; none in minutes too old to begin an incident.
        domains: The same by sender domain.
        is_held: It belongs to an incident, or is from before one that ended: nothing is learned from it.
    """

    at_ms: int
    total: Counts = field(default_factory=Counts)
    accounts: Parts = field(default_factory=dict)
    domains: Parts = field(default_factory=dict)
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A hold that goes on.

    Attributes:
        started_ms: The estimated start (event time): hard bounces that occurred from then on are held.
        detected_ms: When it was found, by the clock.
        total: Counted since `started_ms`.
    """

    incident_id: str
    started_ms: int
    detected_ms: int
    total: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """Everything that the guard knows of one provider; never changed, only replaced. Bounded whatever comes in.

    Attributes:
        head_ms: The newest minute that was counted; time passes by it. 0: none.
        minutes: The last ones, sorted, those without mail left out.
        is_armed: False after a hold that ended while the excess went on: none begins until the rate was back, or
            the baseline has learned that it is usual.
        armed_from_ms: Older minutes begin no incident: they had theirs.
    """

    provider: str
    head_ms: int = 0
    minutes: tuple[Minute, ...] = ()
    baseline: Baseline = Baseline()
    incident: Incident | None = None
    is_armed: bool = True
    armed_from_ms: int = 0


def part_name(text: str) -> str:
    """Return the name under which an account or a domain is counted: itself, or a digest if that were too long.

    Names come from outside, and the size of the state must not. In JSON an unusual character takes up to 12 bytes.
    """
    if len(text) <= _MAX_NAME_CHARS and text.isascii() and text.isprintable():
        return text
    return "blake2b:" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def state_to_plain(state: ProviderState) -> dict[str, Any]:
    """Return a state as what JSON knows: dictionaries, lists, strings and numbers."""
    baseline, incident = state.baseline, state.incident
    return {
        "provider": state.provider,
        "head_ms": state.head_ms,
        "minutes": [
            [m.at_ms, *_plain(m.total), _plain_parts(m.accounts), _plain_parts(m.domains), m.is_held]
            for m in state.minutes
        ],
        "baseline": [baseline.outcome_weight, baseline.hard_weight, baseline.at_ms],
        "incident": incident
        and [incident.incident_id, incident.started_ms, incident.detected_ms, *_plain(incident.total)],
        "is_armed": state.is_armed,
        "armed_from_ms": state.armed_from_ms,
    }


def state_from_plain(plain: dict[str, Any]) -> ProviderState:
    """Return the state that `state_to_plain` was given.

    Raises:
        DataError: it is not of that form.
    """
    try:
        incident = plain["incident"]
        outcomes, hard, at_ms = plain["baseline"]
        return ProviderState(
            provider=plain["provider"],
            head_ms=plain["head_ms"],
            minutes=tuple(_minute(*values) for values in plain["minutes"]),
            baseline=Baseline(float(outcomes), float(hard), at_ms),
            incident=incident and _incident(*incident),
            is_armed=plain["is_armed"],
            armed_from_ms=plain["armed_from_ms"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"the state of an incident guard has another form: {type(error).__name__}"
        raise DataError("invalid_state", "", text) from error


def _plain(counts: Counts) -> list[int]:
    return [counts.outcome_count, counts.hard_count]


def _plain_parts(parts: Parts) -> dict[str, list[int]]:
    return {name: _plain(counts) for name, counts in parts.items()}


def _minute(
    at_ms: int, outcomes: int, hard: int, accounts: dict[str, Any], domains: dict[str, Any], is_held: bool
) -> Minute:
    return Minute(
        at_ms=at_ms,
        total=Counts(outcomes, hard),
        accounts={name: Counts(*counts) for name, counts in accounts.items()},
        domains={name: Counts(*counts) for name, counts in domains.items()},
        is_held=is_held,
    )


def _incident(incident_id: str, started_ms: int, detected_ms: int, outcomes: int, hard: int) -> Incident:
    return Incident(
        incident_id=incident_id,
        started_ms=started_ms,
        detected_ms=detected_ms,
        total=Counts(outcomes, hard),
    )
