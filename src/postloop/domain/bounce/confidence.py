"""How much a verdict may be trusted, by the kind of rule that decided."""

from typing import Final

from postloop.domain.bounce.reply import Reply
from postloop.domain.bounce.rule import Rule

# The share of labelled replies on which rules of a kind named the labelled reason, rounded down to what they reached
# on replies that they were not written from (docs/bounces.md, "Measured").
_OF_LAYER: Final[dict[str, float]] = {
    "status": 0.75,
    "transport": 0.75,
    "vague": 0.6,
    "reply": 0.5,
    "default": 0.1,
}
_TEXT: Final = 0.85
"""Words that say what happened, or a provider's own words or statuses."""
_TEXT_AND_STATUS: Final = 0.95
"""The same, and the enhanced status says so too."""


def confidence_of(rule: Rule, reply: Reply) -> float:
    """Return how often rules of this kind are right, from 0 to 1."""
    weak = _OF_LAYER.get(rule.layer)
    if weak is not None:
        return weak
    by_status = reply.book.strong_status(reply.evidence.status) or reply.book.status(
        reply.evidence.status, reply.provider
    )
    agree = by_status is not None and by_status.reason == rule.reason
    return _TEXT_AND_STATUS if agree else _TEXT
