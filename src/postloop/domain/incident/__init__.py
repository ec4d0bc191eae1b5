"""A mailbox provider that refuses everybody: its hard bounces are held, not believed."""

from postloop.domain.incident.counts import MINUTE_MS, Counts, Pulse, is_guarded
from postloop.domain.incident.guard import decide_by_operator, observe, tick
from postloop.domain.incident.holds import Fate, PastHold, ProviderHolds
from postloop.domain.incident.policy import DEFAULT_GUARD_POLICY, GuardPolicy
from postloop.domain.incident.signals import Counted, GuardSignal, HoldBegan, HoldEnded, signal_of
from postloop.domain.incident.state import Incident, ProviderState, state_from_plain, state_to_plain
from postloop.domain.incident.texts import describe
from postloop.domain.incident.transitions import IncidentEnded, IncidentStarted, Transition, Verdict

__all__ = [
    "DEFAULT_GUARD_POLICY",
    "MINUTE_MS",
    "Counted",
    "Counts",
    "Fate",
    "GuardPolicy",
    "GuardSignal",
    "HoldBegan",
    "HoldEnded",
    "Incident",
    "IncidentEnded",
    "IncidentStarted",
    "PastHold",
    "ProviderHolds",
    "ProviderState",
    "Pulse",
    "Transition",
    "Verdict",
    "decide_by_operator",
    "describe",
    "is_guarded",
    "observe",
    "signal_of",
    "state_from_plain",
    "state_to_plain",
    "tick",
]
