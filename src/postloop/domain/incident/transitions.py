"""What the world is told when a hold begins or ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID, uuid5

EndCause = Literal["over", "limit", "operator"]
Verdict = Literal["discard", "release"]

_NAMESPACE: Final = UUID("6c1f0a4e-2d5b-5e0a-9b57-7a3e90d1c8f4")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentStarted:
    """Hard bounces of a provider are held from now on, and what was blocked since `started_ms` is to be released.

    Attributes:
        started_ms: Estimated start, event time: the first minute of the run of excess minutes.
        detected_ms: Now, by the clock.
        outcome_count: Of the window that decided, like `hard_count` and `rate`.
        baseline_rate: What was usual.
        account_count: Accounts with an excess of their own, among the `max_part_count` with most mail.
        domain_count: Sender domains, likewise.
    """

    provider: str
    incident_id: str
    started_ms: int
    detected_ms: int
    outcome_count: int
    hard_count: int
    rate: float
    baseline_rate: float
    account_count: int
    domain_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEnded:
    """Hard bounces of a provider block again.

    Attributes:
        ended_ms: Now, by the clock.
        until_ms: Event time: the end of the newest minute that was counted. Later bounces are no part of it.
        cause: The rate is back ("over"), the hold lasted too long ("limit"), or somebody decided ("operator").
        verdict: What becomes of the bounces that are held: forgotten ("discard"), or each blocks as it would have
            done ("release").
        outcome_count: Counted since `started_ms`.
        hard_count: Hard bounces among them: those that were held, and those that blocked before the detection.
    """

    provider: str
    incident_id: str
    started_ms: int
    ended_ms: int
    until_ms: int
    cause: EndCause
    verdict: Verdict
    outcome_count: int
    hard_count: int


Transition = IncidentStarted | IncidentEnded


def incident_id(*, provider: str, started_ms: int) -> str:
    """Return the id of the incident of a provider that started then."""
    return str(uuid5(_NAMESPACE, f"{provider}|{started_ms}"))
