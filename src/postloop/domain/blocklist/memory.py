"""How much of the past an entry keeps: enough that order does not matter, and bounded."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Final

from postloop.domain.blocklist.entry import Entry
from postloop.domain.blocklist.policy import Policy
from postloop.domain.blocklist.signals import GLOBAL, Evidence

# Facts kept of one account and kind; of more, the first and the newest.
MAX_PER_ACCOUNT: Final = 16
MAX_DELIVERIES: Final = 64


def compacted(entry: Entry) -> Entry:
    """Return the entry sorted, without what a release lifted, and within its bounds."""
    evidence, deliveries = _live(entry), entry.deliveries
    if len(evidence) > 1:
        evidence = tuple(sorted(evidence, key=lambda e: e.order))
    if len(evidence) > MAX_PER_ACCOUNT:
        evidence = _few_of_each_account(evidence)
    if len(deliveries) > 1:
        deliveries = tuple(sorted(deliveries, key=lambda d: (d.at_ms, d.event_id))[-MAX_DELIVERIES:])
    # Nearly every entry has one cause and is in order: copying it would cost more than looking.
    if evidence == entry.evidence and deliveries == entry.deliveries:
        return entry
    return replace(entry, evidence=evidence, deliveries=deliveries)


def _live(entry: Entry) -> tuple[Evidence, ...]:
    if entry.release is None:
        return entry.evidence
    released_ms = entry.release.at_ms
    return tuple(e for e in entry.evidence if e.at_ms > released_ms)


def _few_of_each_account(ordered: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    groups: defaultdict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for evidence in ordered:
        groups[evidence.kind, evidence.account_id].append(evidence)
    kept = [e for group in groups.values() for e in _bounded(group)]
    return tuple(sorted(kept, key=lambda e: e.order))


def _bounded(group: list[Evidence]) -> list[Evidence]:
    return group if len(group) <= MAX_PER_ACCOUNT else [group[0], *group[1 - MAX_PER_ACCOUNT :]]


def forgotten(entry: Entry, policy: Policy, *, now_ms: int) -> Entry:
    """Return an entry that does not block, without what can matter no more; one that blocks as it is.

    A consent that was given for a sender domain is remembered for good: an old unsubscribe that is imported years
    later must not undo it.
    """
    if entry.told is not None:
        return entry
    first_ms = now_ms - policy.memory_ms
    keeps_marks = entry.scope != GLOBAL
    release = entry.release if entry.release and (keeps_marks or entry.release.at_ms > first_ms) else None
    # A lease that ran out says nothing once the next one of its length would have.
    remembers_term = bool(policy.escalation) and entry.ended_ms + policy.longest_lease_ms > now_ms
    evidence = tuple(e for e in entry.evidence if keeps_marks or e.at_ms > first_ms)
    deliveries = tuple(d for d in entry.deliveries if d.at_ms > first_ms)
    withdrawals = tuple(w for w in entry.withdrawals if keeps_marks or w[1] > first_ms)
    term = entry.term if remembers_term else 0
    kept = (evidence, deliveries, release, withdrawals, term)
    # A copy costs more than a look, and most often nothing is forgotten.
    if kept == (entry.evidence, entry.deliveries, entry.release, entry.withdrawals, entry.term):
        return entry
    return replace(
        entry,
        evidence=evidence,
        deliveries=deliveries,
        release=release,
        withdrawals=withdrawals,
        term=term,
    )


def due_ms(entry: Entry, policy: Policy) -> int | None:
    """Return when the entry must be looked at again: its lease ends, or it may be forgotten. None: never."""
    if entry.told is not None:
        return entry.told.block.expires_ms
    if entry.scope != GLOBAL and (entry.release or entry.withdrawals):
        return None
    moments = [
        *(e.at_ms for e in entry.evidence),
        *(d.at_ms for d in entry.deliveries),
        *(at_ms for _, at_ms in entry.withdrawals),
        *([entry.release.at_ms] if entry.release else []),
        *([entry.ended_ms] if entry.term else []),
    ]
    return max(moments) + policy.memory_ms if moments else None
