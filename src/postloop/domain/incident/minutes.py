"""The last minutes of a provider: pulses are added, old minutes are learned from and forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from heapq import nsmallest

from postloop.domain.incident.counts import MINUTE_MS, Counts, Pulse
from postloop.domain.incident.excess import is_part_excess, yardstick
from postloop.domain.incident.policy import GuardPolicy
from postloop.domain.incident.state import Baseline, Minute, Parts, ProviderState, part_name


def minute_of(at_ms: int) -> int:
    """Return the beginning of the minute, in milliseconds since 1970."""
    return at_ms - at_ms % MINUTE_MS


def summed_total(minutes: Iterable[Minute]) -> Counts:
    """Return what all minutes count together."""
    return sum((m.total for m in minutes), Counts())


def summed_parts(of_minutes: Iterable[Parts]) -> Collection[Counts]:
    """Return what each part counts over several minutes, sorted by its name."""
    sums: defaultdict[str, Counts] = defaultdict(Counts)
    for parts in of_minutes:
        for name, counts in parts.items():
            sums[name] += counts
    return [sums[name] for name in sorted(sums)]


def counted(
    state: ProviderState, pulses: Collection[Pulse], policy: GuardPolicy, *, at_ms: int
) -> ProviderState:
    """Return the state with the pulses of one minute; as it was when the minute is forgotten already."""
    if at_ms <= state.head_ms - policy.memory_minutes * MINUTE_MS:
        return state
    if at_ms > state.head_ms:
        state = _advanced(state, policy, head_ms=at_ms)
    others = [m for m in state.minutes if m.at_ms != at_ms]
    before = next((m for m in state.minutes if m.at_ms == at_ms), None)
    minute = _with_pulses(before or _new_minute(state, at_ms=at_ms), pulses, policy, head_ms=state.head_ms)
    incident = state.incident
    if incident is not None and at_ms >= incident.started_ms:
        incident = replace(incident, total=incident.total + sum((p.counts for p in pulses), Counts()))
    minutes = tuple(sorted([*others, minute], key=lambda m: m.at_ms))
    return replace(state, minutes=minutes, incident=incident)


def _new_minute(state: ProviderState, *, at_ms: int) -> Minute:
    is_held = state.incident is not None and at_ms >= state.incident.started_ms
    return Minute(at_ms=at_ms, is_held=is_held or at_ms < state.armed_from_ms)


def _with_pulses(minute: Minute, pulses: Collection[Pulse], policy: GuardPolicy, *, head_ms: int) -> Minute:
    total = sum((p.counts for p in pulses), minute.total)
    if not _keeps_parts(minute, policy, head_ms=head_ms):
        return replace(minute, total=total)
    accounts, domains = defaultdict(Counts, minute.accounts), defaultdict(Counts, minute.domains)
    for pulse in pulses:
        accounts[part_name(pulse.account_id)] += pulse.counts
        domains[part_name(pulse.sender_domain)] += pulse.counts
    return replace(
        minute, total=total, accounts=_largest(accounts, policy), domains=_largest(domains, policy)
    )


def _largest(parts: Parts, policy: GuardPolicy) -> Parts:
    """Return the parts with most mail, sorted by name. Not those with most bounces: nobody would be spared."""
    names = nsmallest(policy.max_part_count, parts, key=lambda name: (-parts[name].outcome_count, name))
    return {name: parts[name] for name in sorted(names)}


def _keeps_parts(minute: Minute, policy: GuardPolicy, *, head_ms: int) -> bool:
    """Return whether a window that is still judged reaches back to this minute."""
    return minute.at_ms > head_ms - (policy.window_minutes + policy.late_minutes) * MINUTE_MS


def _advanced(state: ProviderState, policy: GuardPolicy, *, head_ms: int) -> ProviderState:
    """Return the state at a newer minute: what is too old is learned from and dropped."""
    first_ms = head_ms - policy.memory_minutes * MINUTE_MS
    baseline = state.baseline
    for minute in state.minutes:
        if minute.at_ms <= first_ms and _is_usual(minute, baseline, state, policy):
            baseline = baseline.learned(minute.total, policy, at_ms=minute.at_ms)
    minutes = tuple(
        m
        if not m.accounts or _keeps_parts(m, policy, head_ms=head_ms)
        else replace(m, accounts={}, domains={})
        for m in state.minutes
        if m.at_ms > first_ms
    )
    return replace(state, head_ms=head_ms, minutes=minutes, baseline=baseline)


def _is_usual(minute: Minute, baseline: Baseline, state: ProviderState, policy: GuardPolicy) -> bool:
    """Return whether a minute may be learned from: not of an incident, nor such that one may have begun there.

    After a hold that ended while the excess went on, the excess is learned too: what lasts for a day is usual.
    """
    if minute.is_held:
        return False
    usual = yardstick(baseline, policy, at_ms=minute.at_ms)
    return not state.is_armed or not is_part_excess(minute.total, usual, policy)
