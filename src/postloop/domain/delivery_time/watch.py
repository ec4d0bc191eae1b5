"""Whether mail of a scope is slower than it used to be: slices of counts in, the start and the end of an alert out.

A scope with a mailbox provider gives alerts of the kind `slow`, one without of the kind `delays`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from postloop.domain.alert import AlertKind, DeliveryAlert, Scope, incident_id
from postloop.domain.chance import tail_bound
from postloop.domain.delivery_time.policy import DelayPolicy
from postloop.domain.delivery_time.state import DelayIncident, DelayState, History, Slice, Usual, summed

_Result = tuple[DelayState, tuple[DeliveryAlert, ...]]

_NOTHING: Final[tuple[DeliveryAlert, ...]] = ()
_PART_TAIL: Final = 1e-2
"""A slice less probable than this teaches history nothing."""


def observe(state: DelayState, slices: Iterable[Slice], policy: DelayPolicy) -> _Result:
    """Return the state with these slices, and the alerts that start or end, in their order.

    A slice may be counted again, later and higher, as long as it is in memory: the higher counts stay. So the same
    slices again change nothing, and several calls say the same as one. A slice without deliveries moves the time.
    """
    told: list[DeliveryAlert] = []
    for counted in sorted(slices, key=lambda s: s.at_ms):
        at_ms = counted.at_ms - counted.at_ms % policy.slice_ms
        after = _with_slice(state, replace(counted, at_ms=at_ms), policy)
        if after != state:
            state, alerts = _judged(after, policy)
            told += alerts
    return state, tuple(told)


def _with_slice(state: DelayState, counted: Slice, policy: DelayPolicy) -> DelayState:
    """Return the state with one slice; as it was when the slice is forgotten already."""
    if counted.at_ms <= state.head_ms - policy.memory_slices * policy.slice_ms:
        return state
    if counted.at_ms > state.head_ms:
        state = _advanced(state, policy, head_ms=counted.at_ms)
    before = next((s for s in state.slices if s.at_ms == counted.at_ms), counted)
    highest = Slice(
        at_ms=counted.at_ms,
        delivered_count=max(before.delivered_count, counted.delivered_count),
        delayed_count=max(before.delayed_count, counted.delayed_count),
    )
    if not highest.delivered_count:
        return state
    others = [s for s in state.slices if s.at_ms != counted.at_ms]
    return replace(state, slices=tuple(sorted([*others, highest], key=lambda s: s.at_ms)))


def _advanced(state: DelayState, policy: DelayPolicy, *, head_ms: int) -> DelayState:
    """Return the state at a newer slice: what is too old is learned from and dropped."""
    last_ms = head_ms - policy.memory_slices * policy.slice_ms
    history, incident = state.history, state.incident
    for counted in state.slices:
        if counted.at_ms > last_ms:
            break
        if incident is not None and counted.at_ms >= incident.started_ms:
            incident = replace(incident, forgotten=summed([incident.forgotten, counted]))
        elif counted.at_ms >= state.armed_from_ms and not _is_improbable(
            counted, history.usual(policy, at_ms=counted.at_ms), policy, tail=_PART_TAIL
        ):
            history = history.learned(counted, policy)
    kept = tuple(s for s in state.slices if s.at_ms > last_ms)
    return replace(state, head_ms=head_ms, slices=kept, history=history, incident=incident)


def _judged(state: DelayState, policy: DelayPolicy) -> _Result:
    usual = state.history.usual(policy, at_ms=state.head_ms)
    incident = state.incident
    if incident is None:
        return _started(state, usual, policy)
    if _is_calm(state, usual, policy):
        return _ended(state, incident, policy, cause="over")
    if state.head_ms - incident.started_ms >= policy.max_alert_ms:
        return _ended(state, incident, policy, cause="limit")
    return state, _NOTHING


def _started(state: DelayState, usual: Usual, policy: DelayPolicy) -> _Result:
    window = _last(state, policy.window_slices, policy)
    total = summed(window)
    if (
        total.delivered_count < policy.min_delivered_count
        or total.delayed_count < policy.min_delayed_count
        or total.rate < usual.limit_rate
        or not _is_improbable(total, usual, policy, tail=policy.tail)
    ):
        return state, _NOTHING
    started_ms = _start_of_run(state, window, usual, policy)
    name = incident_id(kind=_kind(state.scope), scope=state.scope, what="", started_ms=started_ms)
    incident = DelayIncident(
        incident_id=name, started_ms=started_ms, usual_rate=usual.rate, forgotten=Slice(at_ms=started_ms)
    )
    state = replace(state, incident=incident)
    return state, (_alert(state, incident, ended_ms=None),)


def _ended(state: DelayState, incident: DelayIncident, policy: DelayPolicy, *, cause: str) -> _Result:
    """Return the state without its alert. What lasted to the limit is what is usual from now on."""
    ended_ms = state.head_ms + policy.slice_ms
    alert = _alert(state, incident, ended_ms=ended_ms, cause=cause)
    history = state.history
    if cause == "limit":
        total = state.total_since_start(incident)
        history = History(float(total.delivered_count), float(total.delayed_count), state.head_ms)
    return replace(state, history=history, incident=None, armed_from_ms=ended_ms), (alert,)


def _alert(
    state: DelayState, incident: DelayIncident, *, ended_ms: int | None, cause: str = ""
) -> DeliveryAlert:
    total = state.total_since_start(incident)
    figures: dict[str, int | float | str] = {
        "delivered_count": total.delivered_count,
        "delayed_count": total.delayed_count,
        "delayed_rate": total.rate,
        "usual_rate": incident.usual_rate,
    }
    return DeliveryAlert(
        incident_id=incident.incident_id,
        kind=_kind(state.scope),
        scope=state.scope,
        started_at=_instant(incident.started_ms),
        ended_at=None if ended_ms is None else _instant(ended_ms),
        figures=figures | {"cause": cause} if cause else figures,
    )


def _is_improbable(counted: Slice, usual: Usual, policy: DelayPolicy, *, tail: float) -> bool:
    """Return whether so many late deliveries are no chance at the upper bound of what is usual."""
    chance = tail_bound(
        hit_count=counted.delayed_count / policy.clump_count,
        count=counted.delivered_count / policy.clump_count,
        rate=usual.upper_rate,
    )
    return chance <= tail


def _is_calm(state: DelayState, usual: Usual, policy: DelayPolicy) -> bool:
    """Return whether the rate is back: enough mail to tell, and little of it late, in every part of it."""
    last = _last(state, policy.calm_slices, policy)
    total = summed(last)
    back_rate = usual.rate_towards_limit(policy.calm_share)
    newest = summed(last[-2:])
    return (
        total.delivered_count >= policy.min_delivered_count
        and total.rate < back_rate
        and newest.rate < back_rate
    )


def _last(state: DelayState, count: int, policy: DelayPolicy) -> list[Slice]:
    first_ms = max(state.head_ms - (count - 1) * policy.slice_ms, state.armed_from_ms)
    return [s for s in state.slices if s.at_ms >= first_ms]


def _start_of_run(state: DelayState, window: list[Slice], usual: Usual, policy: DelayPolicy) -> int:
    """Return the first slice of the run of slow ones that reaches into the window."""
    raised_rate = usual.rate_towards_limit(policy.calm_share)
    started_ms = next(s.at_ms for s in window if s.rate >= raised_rate)
    for counted in reversed([s for s in state.slices if state.armed_from_ms <= s.at_ms < started_ms]):
        if counted.rate < raised_rate:
            break
        started_ms = counted.at_ms
    return started_ms


def _kind(scope: Scope) -> AlertKind:
    return "slow" if scope.mailbox_provider else "delays"


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
