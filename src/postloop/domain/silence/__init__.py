"""Feedback that stops arriving while mail flows: a broken feed is not a good list."""

from postloop.domain.silence.model import FeedbackModel, silence_probability
from postloop.domain.silence.policy import DEFAULT_SILENCE_POLICY, Feedback, SilencePolicy
from postloop.domain.silence.state import (
    FeedbackHour,
    Run,
    SilenceIncident,
    SilenceState,
    state_from_plain,
    state_to_plain,
)
from postloop.domain.silence.watch import observe

__all__ = [
    "DEFAULT_SILENCE_POLICY",
    "Feedback",
    "FeedbackHour",
    "FeedbackModel",
    "Run",
    "SilenceIncident",
    "SilencePolicy",
    "SilenceState",
    "observe",
    "silence_probability",
    "state_from_plain",
    "state_to_plain",
]
