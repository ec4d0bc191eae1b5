"""The transitions of the blocklist: one signal, one entry, what becomes of it and what the world is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from postloop.domain.blocklist.changes import (
    Blocked,
    Change,
    Released,
    blocked_event_id,
    entry_id,
    released_event_id,
)
from postloop.domain.blocklist.commands import ordered
from postloop.domain.blocklist.entry import Block, Delivery, Entry, ReleaseCause, Told
from postloop.domain.blocklist.memory import compacted, forgotten
from postloop.domain.blocklist.policy import Policy
from postloop.domain.blocklist.signals import Delivered, Evidence, Ordered, Reported, Signal, TimePassed
from postloop.domain.blocklist.standing import has_run_out, standing

_NO_CAUSE: Final = ""
_NOTHING: Final[tuple[Change, ...]] = ()


def decide(
    entry: Entry | None, signal: Signal, policy: Policy, now_ms: int
) -> tuple[Entry, tuple[Change, ...]]:
    """Return the entry after a signal, and the changes to publish, in their order.

    The same signals in any order and any number lead to the same entry, as far as they are not older than the
    policy remembers (`Policy.memory_ms`): event time decides. A signal that changes nothing returns an equal entry.

    Args:
        entry: None when nothing is known of the address.
        now_ms: The clock, in milliseconds since 1970.
    """
    before = entry or Entry(scope=signal.scope, recipient=signal.recipient)
    answers: tuple[Change, ...] = ()
    match signal:
        case Reported():
            after = _reported(before, signal, policy, now_ms=now_ms)
        case Delivered():
            after = _delivered(before, signal, policy, now_ms=now_ms)
        case Ordered():
            after, answers = ordered(before, signal, policy, now_ms=now_ms)
        case TimePassed():
            after = before
        case _:
            assert_never(signal)
    after, changes = _published(compacted(after), _cause_id(signal), policy, now_ms=now_ms)
    return forgotten(after, policy, now_ms=now_ms), (*changes, *answers)


def _reported(entry: Entry, signal: Reported, policy: Policy, *, now_ms: int) -> Entry:
    evidence = signal.evidence
    if not _matters(evidence, entry, policy, now_ms=now_ms):
        return entry
    provider = entry.provider or signal.provider
    return replace(entry, provider=provider, evidence=(*entry.evidence, evidence))


def _matters(evidence: Evidence, entry: Entry, policy: Policy, *, now_ms: int) -> bool:
    """Return whether evidence is new, not lifted already, and not too old to block."""
    if entry.release is not None and evidence.at_ms <= entry.release.at_ms:
        return False
    if any(e.event_id == evidence.event_id and e.kind == evidence.kind for e in entry.evidence):
        return False
    if evidence.kind == "hard":
        return evidence.at_ms + policy.lease_of(evidence.reason, term=entry.term) > now_ms
    return evidence.kind != "soft" or evidence.at_ms + policy.memory_ms > now_ms


def _delivered(entry: Entry, signal: Delivered, policy: Policy, *, now_ms: int) -> Entry:
    known = any(d.event_id == signal.event_id for d in entry.deliveries)
    if known or signal.at_ms + policy.memory_ms <= now_ms:
        return entry
    delivery = Delivery(at_ms=signal.at_ms, event_id=signal.event_id)
    return replace(entry, deliveries=(*entry.deliveries, delivery))


def _published(
    entry: Entry, cause_id: str, policy: Policy, *, now_ms: int
) -> tuple[Entry, tuple[Change, ...]]:
    """Compare what is with what was told, and tell the difference.

    A release that lifts what a block began with ends it, also when something newer blocks: that is another block, as
    it would have been had the release come in time.
    """
    block, ended = standing(entry, policy, now_ms=now_ms), _NOTHING
    if entry.told is not None and (block is None or _is_lifted(entry, entry.told)):
        entry, ended = _released(entry, entry.told, cause_id, policy, now_ms=now_ms)
    if block is None:
        return entry, ended
    told = entry.told
    if told is not None and not _is_longer(block.expires_ms, told.block.expires_ms):
        # Another cause of a block that stands is kept with it, and changes nothing for who asks.
        return _with_causes(entry, told, block), ()
    now_told = Told(
        entry_id=told.entry_id
        if told is not None
        else entry_id(scope=entry.scope, recipient=entry.recipient, ended_ms=entry.ended_ms),
        event_id=blocked_event_id(scope=entry.scope, recipient=entry.recipient, cause_id=cause_id),
        change="extended" if told is not None else "inserted",
        inserted_ms=now_ms if told is None else told.inserted_ms,
        changed_ms=now_ms,
        block=block,
    )
    change = Blocked(scope=entry.scope, recipient=entry.recipient, provider=entry.provider, told=now_told)
    return replace(entry, told=now_told), (*ended, change)


def _with_causes(entry: Entry, told: Told, block: Block) -> Entry:
    if block.expires_ms != told.block.expires_ms:
        block = replace(block, expires_ms=told.block.expires_ms)
    return entry if block == told.block else replace(entry, told=replace(told, block=block))


def _is_longer(expires_ms: int | None, than_ms: int | None) -> bool:
    if than_ms is None:
        return False
    return expires_ms is None or expires_ms > than_ms


def _released(
    entry: Entry, told: Told, cause_id: str, policy: Policy, *, now_ms: int
) -> tuple[Entry, tuple[Change, ...]]:
    cause = _why_released(entry, told, policy, now_ms=now_ms)
    ended_by_time = cause == "lease_ended"
    id_of_cause = str(told.block.expires_ms) if ended_by_time else cause_id
    change = Released(
        scope=entry.scope,
        recipient=entry.recipient,
        provider=entry.provider,
        told=told,
        event_id=released_event_id(entry_id=told.entry_id, cause=cause, cause_id=id_of_cause),
        cause=cause,
        expired_ms=now_ms,
    )
    # A lease that was shortened by another policy ends before the moment that was told.
    over_ms = min(told.block.expires_ms or now_ms, now_ms)
    ended_ms = over_ms if ended_by_time else _moment_of_release(entry, now_ms=now_ms)
    after = replace(
        entry,
        told=None,
        ended_ms=ended_ms,
        term=entry.term + 1 if ended_by_time else 0,
        # What made the block that ended makes no other one.
        evidence=() if ended_by_time else entry.evidence,
    )
    return after, (change,)


def _why_released(entry: Entry, told: Told, policy: Policy, *, now_ms: int) -> ReleaseCause:
    if told.block.expires_ms is not None and told.block.expires_ms <= now_ms:
        return "lease_ended"
    if entry.release is not None and _is_lifted(entry, told):
        return entry.release.cause
    if entry.withdrawals and any(entry.is_withdrawn(e) for e in entry.evidence):
        return "unblocked"
    return "lease_ended" if has_run_out(entry, policy, now_ms=now_ms) else "delivered"


def _is_lifted(entry: Entry, told: Told) -> bool:
    return entry.release is not None and told.block.starts_ms <= entry.release.at_ms


def _moment_of_release(entry: Entry, *, now_ms: int) -> int:
    if entry.release is not None:
        return entry.release.at_ms
    return max((at_ms for _, at_ms in entry.withdrawals), default=now_ms)


def _cause_id(signal: Signal) -> str:
    match signal:
        case Reported():
            return f"{signal.evidence.kind}:{signal.evidence.event_id}"
        case Delivered():
            return f"delivery:{signal.event_id}"
        case Ordered():
            return f"command:{signal.command_id}"
        case TimePassed():
            return _NO_CAUSE
        case _:
            assert_never(signal)
