"""Deciding whether bounces of a mailbox provider are held: for the providers whose names this partition owns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import structlog

from postloop.adapters.partition_store import Item
from postloop.contracts.alert import outage_alert
from postloop.contracts.blocklist_state import provider_from_bytes, provider_key, provider_to_bytes
from postloop.domain.blocklist import Answered, Ordered
from postloop.domain.blocklist.changes import Outcome
from postloop.domain.event_types import DELIVERY_ALERT_TOPIC
from postloop.domain.incident import (
    Counted,
    GuardPolicy,
    ProviderState,
    Transition,
    Verdict,
    decide_by_operator,
    observe,
    signal_of,
    tick,
)
from postloop_streams.blocklist.work import ItemReader, Outgoing, Work

log = structlog.stdlib.get_logger("postloop.blocklist.guard")

# A state of 50 kB changes with every signal. What is lost of it with the process is this much counting.
KEEP_EVERY_MS: Final = 15_000

_CODES: Final[dict[Verdict, str]] = {"release": "held_released", "discard": "held_discarded"}
_VERDICTS: Final[dict[str, Verdict]] = {"release_held": "release", "discard_held": "discard"}


class ProviderWatch:
    """Watches providers. What it decides is told to every partition, and to people as an alert."""

    def __init__(self, store: ItemReader, *, policy: GuardPolicy) -> None:
        self._store = store
        self._policy = policy
        self._states: dict[str, ProviderState] = {}
        self._kept_ms: dict[str, int] = {}

    def count(self, counted: Sequence[Counted], work: Work, *, now_ms: int) -> None:
        """Take in what workers counted."""
        by_provider = attrgetter("provider")
        for provider, group in groupby(sorted(counted, key=by_provider), by_provider):
            pulses = [pulse for one in group for pulse in one.pulses()]
            self._put(observe(self._state(provider), pulses, self._policy, now_ms), work, now_ms=now_ms)

    def tick(self, provider: str, work: Work, *, now_ms: int) -> None:
        """Let the clock end a hold that has lasted too long."""
        self._put(tick(self._state(provider), self._policy, now_ms), work, now_ms=now_ms)
        self._keep(self._state(provider), work, now_ms=now_ms)

    def decide(self, order: Ordered, work: Work, *, now_ms: int) -> Answered:
        """End the hold of a provider as an operator says."""
        if order.actor_kind != "operator":
            return _answered(order, "refused", "operators_only", f"only an operator may {order.command}")
        state = self._state(order.recipient)
        if state.incident is None:
            text = f"Nothing is held of {order.recipient}."
            return _answered(order, "not_found", "nothing_held", text)
        verdict = _VERDICTS[order.command]
        self._put(decide_by_operator(state, state.incident.incident_id, verdict, now_ms), work, now_ms=now_ms)
        what = "block as they would have" if verdict == "release" else "are discarded"
        text = f"The hold of {order.recipient} is over: its bounces {what}."
        return _answered(order, "done", _CODES[verdict], text)

    def _state(self, provider: str) -> ProviderState:
        if provider not in self._states:
            key = provider_key(provider)
            value = self._store.get([key]).get(key)
            self._states[provider] = provider_from_bytes(value) if value else ProviderState(provider=provider)
        return self._states[provider]

    def _put(self, decided: tuple[ProviderState, tuple[Transition, ...]], work: Work, *, now_ms: int) -> None:
        state, transitions = decided
        self._states[state.provider] = state
        for transition in transitions:
            alert = outage_alert(transition)
            log.warning("provider_outage", text=alert.text, incident_id=transition.incident_id)
            work.outgoing.append(Outgoing(DELIVERY_ALERT_TOPIC, alert.key, alert.to_bytes()))
            work.to_all.append(signal_of(transition))
        if transitions or now_ms - self._kept_ms.get(state.provider, 0) >= KEEP_EVERY_MS:
            self._keep(state, work, now_ms=now_ms)

    def _keep(self, state: ProviderState, work: Work, *, now_ms: int) -> None:
        self._kept_ms[state.provider] = now_ms
        work.keep(provider_item(state, self._policy))


def provider_item(state: ProviderState, policy: GuardPolicy) -> Item:
    """Return the item of a provider: due when its hold must end, if there is one."""
    due_ms = None if state.incident is None else state.incident.detected_ms + policy.max_hold_ms
    return Item(provider_key(state.provider), provider_to_bytes(state), due_ms)


def _answered(order: Ordered, outcome: Outcome, code: str, text: str) -> Answered:
    return Answered(command_id=order.command_id, outcome=outcome, code=code, text=text)
