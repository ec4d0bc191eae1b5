"""Whether a provider's hard bounces are held: pulses in, the beginning and the end of a hold out.

One place decides for a provider, and all workers follow what it publishes. A worker that follows holds the
provider's final bounces that are hard and the recipient's fault and occurred at or after `started_ms`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from postloop.domain.incident.counts import MINUTE_MS, Counts, Pulse, is_guarded
from postloop.domain.incident.excess import (
    Yardstick,
    is_part_excess,
    is_window_excess,
    spread_count,
    yardstick,
)
from postloop.domain.incident.minutes import counted, minute_of, summed_parts, summed_total
from postloop.domain.incident.policy import GuardPolicy
from postloop.domain.incident.state import Incident, Minute, ProviderState
from postloop.domain.incident.transitions import (
    EndCause,
    IncidentEnded,
    IncidentStarted,
    Transition,
    Verdict,
    incident_id,
)

_Result = tuple[ProviderState, tuple[Transition, ...]]

_NOTHING: Final[tuple[Transition, ...]] = ()


def observe(state: ProviderState, pulses: Iterable[Pulse], policy: GuardPolicy, now_ms: int) -> _Result:
    """Return the state with these pulses, and what the world is to be told, in its order.

    Event time decides what belongs together, so that a backlog is judged like live mail; the order within one call
    does not matter. Not counted are pulses older than the memory and those from the future; for a provider that is
    not guarded nothing is counted at all.

    Args:
        state: `ProviderState(provider=...)` for the first pulses of a provider.
        now_ms: The clock, in milliseconds since 1970.

    Raises:
        ValueError: a pulse is of another provider.
    """
    groups: dict[int, list[Pulse]] = {}
    for pulse in pulses:
        if pulse.provider != state.provider:
            raise ValueError(f"a pulse of {state.provider}, not of another provider: {pulse.provider!r}")
        groups.setdefault(minute_of(pulse.minute_ms), []).append(pulse)
    if not is_guarded(state.provider):
        return state, _NOTHING
    told: list[Transition] = []
    for at_ms in sorted(groups):
        if at_ms <= now_ms + policy.max_ahead_ms:
            state = counted(state, groups[at_ms], policy, at_ms=at_ms)
            state, transitions = _judged(state, policy, now_ms)
            told += transitions
    state, transitions = tick(state, policy, now_ms)
    return state, (*told, *transitions)


def tick(state: ProviderState, policy: GuardPolicy, now_ms: int) -> _Result:
    """Return what becomes of a state by the clock alone: a hold that lasted too long ends.

    Silence ends no hold before that: without outcomes nobody knows that the rate is back.

    The verdict at the limit is to discard, too. After six hours of excess the bounces may well be true (a provider
    that closes, or clears its unused mailboxes), but the guard knows no more of each address than before. If they are
    true, the next mail to each address bounces again and blocks it, for the hold is over and no other begins while
    the excess lasts. If they are not, to release them would block at one stroke everybody who was to be protected.
    An operator who knows better decides before the limit.
    """
    incident = state.incident
    if incident is None or now_ms - incident.detected_ms < policy.max_hold_ms:
        return state, _NOTHING
    return _ended(state, incident, cause="limit", verdict="discard", now_ms=now_ms)


def decide_by_operator(state: ProviderState, incident_id: str, verdict: Verdict, now_ms: int) -> _Result:
    """Return the state without its hold; an incident that is not the one that goes on changes nothing.

    The guard stays out of it until the rate was back: it would only hold again what was just decided.
    """
    incident = state.incident
    if incident is None or incident.incident_id != incident_id:
        return state, _NOTHING
    return _ended(state, incident, cause="operator", verdict=verdict, now_ms=now_ms)


def _judged(state: ProviderState, policy: GuardPolicy, now_ms: int) -> _Result:
    usual = yardstick(state.baseline, policy, at_ms=state.head_ms)
    if state.incident is not None:
        if not _is_calm(state, usual, policy):
            return state, _NOTHING
        # Held bounces prove nothing; an address that is gone bounces again with its next mail.
        return _ended(state, state.incident, cause="over", verdict="discard", now_ms=now_ms)
    if not state.is_armed:
        if not _is_calm(state, usual, policy):
            return state, _NOTHING
        return replace(state, is_armed=True, armed_from_ms=state.head_ms + MINUTE_MS), _NOTHING
    for end_ms in range(state.head_ms - policy.late_minutes * MINUTE_MS, state.head_ms + 1, MINUTE_MS):
        started = _started_by(state, usual, policy, end_ms=end_ms, now_ms=now_ms)
        if started is not None:
            return _begun(state, started), (started,)
    return state, _NOTHING


def _started_by(
    state: ProviderState, usual: Yardstick, policy: GuardPolicy, *, end_ms: int, now_ms: int
) -> IncidentStarted | None:
    """Return the incident that the window up to this minute shows, None if it shows none."""
    first_ms = max(end_ms - (policy.window_minutes - 1) * MINUTE_MS, state.armed_from_ms)
    window = [m for m in state.minutes if first_ms <= m.at_ms <= end_ms]
    total = summed_total(window)
    if not is_window_excess(total, usual, policy):
        return None
    accounts = summed_parts(m.accounts for m in window)
    account_count = spread_count(total, accounts, usual, policy, least=policy.min_account_count)
    domains = summed_parts(m.domains for m in window)
    domain_count = spread_count(total, domains, usual, policy, least=policy.min_domain_count)
    if not account_count or not domain_count:
        return None
    started_ms = _start_of_run(state, window, usual, policy)
    return IncidentStarted(
        provider=state.provider,
        incident_id=incident_id(provider=state.provider, started_ms=started_ms),
        started_ms=started_ms,
        detected_ms=now_ms,
        outcome_count=total.outcome_count,
        hard_count=total.hard_count,
        rate=total.rate,
        baseline_rate=usual.rate,
        account_count=account_count,
        domain_count=domain_count,
    )


def _start_of_run(state: ProviderState, window: list[Minute], usual: Yardstick, policy: GuardPolicy) -> int:
    """Return the first minute of the run of excess minutes that reaches into the window.

    Minutes that say nothing for lack of mail do not interrupt it.
    """
    raised = {
        m.at_ms for m in state.minutes if is_part_excess(m.total, usual, policy, share=policy.start_share)
    }
    started_ms = max((m.at_ms for m in window if m.at_ms in raised), default=window[0].at_ms)
    run = [m for m in state.minutes if state.armed_from_ms <= m.at_ms < started_ms]
    for minute in reversed(run):
        if minute.at_ms in raised:
            started_ms = minute.at_ms
        elif minute.total.outcome_count >= policy.telling_outcome_count:
            break
    return started_ms


def _begun(state: ProviderState, started: IncidentStarted) -> ProviderState:
    minutes = tuple(replace(m, is_held=True) if m.at_ms >= started.started_ms else m for m in state.minutes)
    incident = Incident(
        incident_id=started.incident_id,
        started_ms=started.started_ms,
        detected_ms=started.detected_ms,
        total=summed_total(m for m in minutes if m.at_ms >= started.started_ms),
    )
    return replace(state, minutes=minutes, incident=incident)


def _is_calm(state: ProviderState, usual: Yardstick, policy: GuardPolicy) -> bool:
    """Return whether the rate is back: enough mail to tell, little of it refused, no minute of excess."""
    first_ms = state.head_ms - policy.calm_minutes * MINUTE_MS
    last = [m.total for m in state.minutes if m.at_ms >= first_ms]
    total = sum(last, Counts())
    return (
        total.outcome_count >= policy.min_outcome_count
        and total.rate < usual.rate_towards_limit(policy.calm_share)
        and not any(is_part_excess(minute, usual, policy) for minute in last)
    )


def _ended(
    state: ProviderState, incident: Incident, *, cause: EndCause, verdict: Verdict, now_ms: int
) -> _Result:
    # Behind the start even where the newest minute is the one in which it began.
    until_ms = max(state.head_ms, incident.started_ms) + MINUTE_MS
    ended = IncidentEnded(
        provider=state.provider,
        incident_id=incident.incident_id,
        started_ms=incident.started_ms,
        ended_ms=now_ms,
        until_ms=until_ms,
        cause=cause,
        verdict=verdict,
        outcome_count=incident.total.outcome_count,
        hard_count=incident.total.hard_count,
    )
    after = replace(state, incident=None, is_armed=cause == "over", armed_from_ms=until_ms)
    return after, (ended,)
