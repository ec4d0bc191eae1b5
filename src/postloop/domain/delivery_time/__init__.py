"""Delivery time: on time, late or lost; and a provider or domain that is slower than it used to be."""

from postloop.domain.delivery_time.bins import percentile_s
from postloop.domain.delivery_time.policy import DEFAULT_DELAY_POLICY, DelayPolicy
from postloop.domain.delivery_time.stage import LOST_AFTER_S, ON_TIME_S, Stage, stage_of
from postloop.domain.delivery_time.state import (
    DelayIncident,
    DelayState,
    Slice,
    state_from_plain,
    state_to_plain,
)
from postloop.domain.delivery_time.watch import observe

__all__ = [
    "DEFAULT_DELAY_POLICY",
    "LOST_AFTER_S",
    "ON_TIME_S",
    "DelayIncident",
    "DelayPolicy",
    "DelayState",
    "Slice",
    "Stage",
    "observe",
    "percentile_s",
    "stage_of",
    "state_from_plain",
    "state_to_plain",
]
