"""Verdicts that are stored beside an event: why mail bounced, why a send was rejected.

They depend on stored columns only, and on these as they are stored (texts cut, absent as empty), so that
`postloop reclassify` can repeat a verdict from a stored row.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from postloop.domain.bounce import RULES_VERSION, Bounce, classify
from postloop.domain.diagnosis import cause_of_send
from postloop.domain.event_types import BounceAction
from postloop.domain.outcome import outcome_of_bounce

BOUNCE_INPUTS: Final = (
    "action",
    "smtp_code",
    "enhanced_code",
    "diagnostic",
    "smtp_command",
    "remote_host",
    "recipient_domain",
)
"""The columns that a bounce is classified by, in the order of the arguments of `bounce_verdict`."""
# A reply of 8,192 characters takes at most 32 kB: 32 MB if every entry were one. Typical replies take 300 bytes.
_CACHE_SIZE: Final = 1_024
_NO_CAUSE: Final = "unknown"


class BounceColumns(NamedTuple):
    """What is stored of a bounce's verdict, by the names of the columns."""

    outcome: str
    reason: str
    hard: bool
    fault: str
    rule: str
    confidence: float
    rules_version: str


@lru_cache(maxsize=_CACHE_SIZE)
def bounce_verdict(
    action: BounceAction,
    smtp_code: int,
    enhanced_code: str,
    diagnostic: str,
    smtp_command: str,
    remote_host: str,
    recipient_domain: str,
) -> BounceColumns:
    """Return the verdict on a bounce; a deferral gets one too and stays a deferral."""
    verdict = classify(
        Bounce(
            smtp_code=smtp_code,
            enhanced_code=enhanced_code,
            diagnostic=diagnostic,
            remote_host=remote_host,
            recipient_domain=recipient_domain,
            smtp_command=smtp_command,
            action=action,
        )
    )
    return BounceColumns(
        outcome=outcome_of_bounce(action, hard=verdict.hard),
        reason=verdict.reason,
        hard=verdict.hard,
        fault=verdict.fault,
        rule=verdict.rule,
        confidence=verdict.confidence,
        rules_version=RULES_VERSION,
    )


@lru_cache(maxsize=_CACHE_SIZE)
def rejection_cause(error_code: str, error_message: str) -> str:
    """Return the name of the cause that a rejected send speaks for most, "unknown" where it speaks for none."""
    return cause_of_send(error_code, error_message) or _NO_CAUSE
