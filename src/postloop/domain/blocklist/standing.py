"""Whether an address is blocked, as a function of everything that is known of it.

Nothing here depends on the order in which things became known: that is what makes late and repeated events harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postloop.domain.blocklist.entry import Block, Delivery, Entry
from postloop.domain.blocklist.policy import DAY_MS, Policy
from postloop.domain.blocklist.signals import Evidence


def standing(entry: Entry, policy: Policy, *, now_ms: int) -> Block | None:
    """Return the block that the evidence makes at this moment, None when there is none.

    An account's withdrawal takes its name off the causes. It shortens nothing while other causes are left: the
    address did bounce.
    """
    if not entry.evidence:
        return None
    speaking: Sequence[Evidence] = entry.evidence
    if entry.withdrawals:
        speaking = [e for e in speaking if not entry.is_withdrawn(e)]
    causes = _blocking(speaking, entry.deliveries, policy)
    if not causes:
        return None
    lasting = _blocking(entry.evidence, entry.deliveries, policy) if entry.withdrawals else causes
    expires_ms = _end(lasting, policy, term=entry.term)
    if expires_ms is not None and expires_ms <= now_ms:
        return None
    newest = max(_lasting(causes) or causes, key=lambda evidence: evidence.order)
    return Block(
        reason=newest.reason,
        cause_account_ids=tuple(sorted({e.account_id for e in causes if e.account_id})),
        source_event_ids=tuple(e.event_id for e in _run_of(newest, speaking, entry.deliveries, policy)),
        smtp_text=newest.smtp_text,
        rule=newest.rule,
        rule_version=newest.rule_version,
        starts_ms=min(e.at_ms for e in causes),
        expires_ms=expires_ms,
    )


def has_run_out(entry: Entry, policy: Policy, *, now_ms: int) -> bool:
    """Return whether there is evidence that would block, but for how long ago it was."""
    causes = _blocking(entry.evidence, entry.deliveries, policy)
    expires_ms = _end(causes, policy, term=entry.term) if causes else None
    return expires_ms is not None and expires_ms <= now_ms


def _blocking(known: Sequence[Evidence], deliveries: Sequence[Delivery], policy: Policy) -> list[Evidence]:
    """Return the evidence that blocks by itself: all but soft bounces, and those that complete a run."""
    return [e for e in known if _blocks(e, known, deliveries, policy)]


def _blocks(
    evidence: Evidence, known: Sequence[Evidence], deliveries: Sequence[Delivery], policy: Policy
) -> bool:
    if evidence.kind not in ("hard", "soft"):
        return True
    if policy.release_on_delivery and any(d.at_ms > evidence.at_ms for d in deliveries):
        return False
    if evidence.kind == "hard":
        return True
    days = {e.at_ms // DAY_MS for e in _run_of(evidence, known, deliveries, policy)}
    return len(days) >= policy.soft_days


def _run_of(
    evidence: Evidence, known: Iterable[Evidence], deliveries: Sequence[Delivery], policy: Policy
) -> list[Evidence]:
    """Return the soft bounces that count together with this one, itself included; just itself for other kinds."""
    if evidence.kind != "soft":
        return [evidence]
    first_ms = evidence.at_ms - policy.soft_window_ms
    last_delivery_ms = max((d.at_ms for d in deliveries if d.at_ms < evidence.at_ms), default=first_ms)
    since_ms = max(first_ms, last_delivery_ms)
    return [e for e in known if e.kind == "soft" and since_ms <= e.at_ms and e.order <= evidence.order]


def _end(blocking: Sequence[Evidence], policy: Policy, *, term: int) -> int | None:
    """Return when the last lease runs out; None when something blocks without end."""
    ends = [_end_of(evidence, policy, term=term) for evidence in blocking]
    return None if None in ends else max(end for end in ends if end is not None)


def _end_of(evidence: Evidence, policy: Policy, *, term: int) -> int | None:
    if evidence.kind in ("hard", "soft"):
        return evidence.at_ms + policy.lease_of(evidence.reason, term=term)
    return evidence.until_ms


def _lasting(causes: Iterable[Evidence]) -> list[Evidence]:
    """Return the causes without an end: they name the reason of the entry while they last."""
    return [e for e in causes if e.kind not in ("hard", "soft") and e.until_ms is None]
