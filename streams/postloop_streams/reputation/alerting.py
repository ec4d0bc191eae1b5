"""What slices of deliveries and hours of feedback lead to: alerts to tell, items to keep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.alert import DeliveryAlertV1, delivery_alert
from postloop.contracts.watch_state import (
    DELAY_PREFIX,
    SILENCE_PREFIX,
    delay_from_bytes,
    delay_key,
    delay_to_bytes,
    silence_from_bytes,
    silence_key,
    silence_to_bytes,
)
from postloop.domain import delivery_time, silence
from postloop.domain.alert import DeliveryAlert, Scope
from postloop.domain.delivery_time import DEFAULT_DELAY_POLICY, DelayState, Slice
from postloop.domain.silence import DEFAULT_SILENCE_POLICY, Feedback, FeedbackHour, SilenceState

# A scope without deliveries for so long is forgotten; its history is worth next to nothing by then.
FORGET_DELAYS_MS: Final = 60 * 24 * 3_600_000
_PAGE: Final = 1_000


@dataclass(slots=True)
class AlertDecisions:
    """What is to be done, in this order: `intents` kept, `alerts` told, `items` kept.

    Attributes:
        intents: The items of those whose alerts are told, with the alerts in them: who finds one after a crash tells
            them again, the same to the letter.
    """

    intents: list[Item] = field(default_factory=list)
    alerts: list[DeliveryAlertV1] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def add(
        self, told: Sequence[DeliveryAlert], item_of: Callable[[Sequence[DeliveryAlertV1]], Item]
    ) -> None:
        """Add what was made of a scope.

        Args:
            item_of: Alerts that are not told yet -> what is kept of the scope with them.
        """
        alerts = [delivery_alert(alert) for alert in told]
        if alerts:
            self.alerts += alerts
            self.intents.append(item_of(alerts))
        self.items.append(item_of(()))


def decide_delays(store: PartitionStore, found: Sequence[tuple[Scope, Sequence[Slice]]]) -> AlertDecisions:
    """Return what slices lead to. A state is kept when a slice is over, or an alert begins or ends.

    What is counted of a slice after that is counted again by the next look.
    """
    keys = [delay_key(scope) for scope, _ in found]
    known = store.get(keys)
    decisions = AlertDecisions()
    for key, (scope, slices) in zip(keys, found, strict=True):
        value = known.get(key)
        state = DelayState(scope=scope) if value is None else delay_from_bytes(value)[0]
        new, told = delivery_time.observe(state, slices, DEFAULT_DELAY_POLICY)
        if told or new.head_ms != state.head_ms:
            decisions.add(told, partial(_delay_item, key, new))
    return decisions


def overdue_delays(store: PartitionStore, *, now_ms: int, limit: int) -> AlertDecisions:
    """Return what is due: alerts at their limit whose deliveries have stopped, and scopes to forget."""
    decisions = AlertDecisions()
    for key, value in store.due(now_ms, limit=limit):
        state = delay_from_bytes(value)[0]
        if state.incident is None:
            decisions.items.append(Item(key, None))
        else:
            now = Slice(at_ms=now_ms)
            new, told = delivery_time.observe(state, [now], DEFAULT_DELAY_POLICY)
            decisions.add(told, partial(_delay_item, key, new))
    return decisions


def decide_silence(
    store: PartitionStore, found: Sequence[tuple[Scope, Feedback, Sequence[FeedbackHour]]]
) -> AlertDecisions:
    """Return what hours lead to. Of a scope that is new, only an alert that still goes on is told."""
    keys = [silence_key(scope, feedback) for scope, feedback, _ in found]
    known = store.get(keys)
    decisions = AlertDecisions()
    for key, (scope, feedback, hours) in zip(keys, found, strict=True):
        value = known.get(key)
        state = SilenceState(scope=scope, feedback=feedback)
        if value is not None:
            state = silence_from_bytes(value)[0]
        new, told = silence.observe(state, hours, DEFAULT_SILENCE_POLICY)
        if value is None:
            told = told[-1:] if new.incident is not None else ()
        if new != state:
            decisions.add(told, partial(_silence_item, key, new))
    return decisions


def forgotten(store: PartitionStore, scopes: Iterable[tuple[Scope, Feedback]]) -> AlertDecisions:
    """Return that nothing is expected any more of some scopes, those with an alert excepted."""
    found = store.get([silence_key(scope, feedback) for scope, feedback in scopes])
    return AlertDecisions(
        items=[
            Item(key, None) for key, value in found.items() if silence_from_bytes(value)[0].incident is None
        ]
    )


def untold(store: PartitionStore) -> AlertDecisions:
    """Return what a worker that ended in the middle has left to tell."""
    decisions = AlertDecisions()
    for key, value in _beginning(store, DELAY_PREFIX):
        delays, alerts = delay_from_bytes(value)
        if alerts:
            decisions.alerts += alerts
            decisions.items.append(_delay_item(key, delays))
    for key, value in _beginning(store, SILENCE_PREFIX):
        feedback, alerts = silence_from_bytes(value)
        if alerts:
            decisions.alerts += alerts
            decisions.items.append(_silence_item(key, feedback))
    return decisions


def silence_states(store: PartitionStore) -> Iterator[SilenceState]:
    """Yield everything of which feedback is expected."""
    for _, value in _beginning(store, SILENCE_PREFIX):
        yield silence_from_bytes(value)[0]


def watch_item(key: str, value: bytes) -> Item:
    """Return what the file keeps of a record of the changelog.

    Raises:
        DataError: `invalid_state`, it is not of that form.
    """
    if not key.startswith(DELAY_PREFIX):
        silence_from_bytes(value)  # raises: what cannot be read would end every look
        return Item(key, value)
    return Item(key, value, _due_ms(delay_from_bytes(value)[0]))


def _delay_item(key: str, state: DelayState, pending: Sequence[DeliveryAlertV1] = ()) -> Item:
    return Item(key, delay_to_bytes(state, pending), _due_ms(state))


def _silence_item(key: str, state: SilenceState, pending: Sequence[DeliveryAlertV1] = ()) -> Item:
    return Item(key, silence_to_bytes(state, pending))


def _due_ms(state: DelayState) -> int:
    if state.incident is None:
        return state.head_ms + FORGET_DELAYS_MS
    return state.incident.started_ms + DEFAULT_DELAY_POLICY.max_alert_ms


def _beginning(store: PartitionStore, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield items page by page; what is written meanwhile may or may not be among them."""
    after = ""
    while page := store.beginning(prefix, limit=_PAGE, after=after):
        yield from page
        after = page[-1][0]
