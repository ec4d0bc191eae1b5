"""What the evidence of some senders leads to: items to keep, events to publish, rows to store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.reputation_store import CurrentRow, LogRow, Subject
from postloop.contracts.fields import moment
from postloop.contracts.reputation import (
    POOL_PREFIX,
    PoolChangeV1,
    ReputationChangeV1,
    kept_from_bytes,
    kept_to_bytes,
    pool_change,
    pool_key,
    reputation_change,
    split_key,
    split_pool_key,
    state_key,
)
from postloop.domain.reputation import (
    Evidence,
    ReputationChanged,
    ReputationPolicy,
    ReputationState,
    evaluate,
    rate_of,
)
from postloop.domain.reputation.score import RANK

# A score moves with every mail and decides nothing: it is kept when it moved by so much, or after so long.
SCORE_STEP: Final = 1.0
# So are the counts behind the rates, when one moved by this share; at rest by less, or what was kept longer ago: with
# each mail of a sender that sends one a minute the changelog would outgrow the events.
COUNT_STEP: Final = 0.1
REST_STEP: Final = 0.01
REST_EVERY_MS: Final = 10 * 60_000
KEEP_EVERY_MS: Final = 55 * 60_000
# What was judged later than now by more than this was judged by a clock that was wrong: else nothing would be said of
# anybody until the time has come.
MAX_AHEAD_MS: Final = 10 * 60_000
_NOTHING: Final = Evidence({})

UnsettledCounts = dict[str, tuple[int, ...] | None]
"""By key, the counts of those that moved since they were kept, at the last look. Equal ones a look later are kept: who
sends all the time costs nothing, and whoever pauses is shown as it is."""


@dataclass(slots=True)
class Decisions:
    """What is to be done, in this order: `intents` kept, `changes` told, rows stored, `items` kept.

    Attributes:
        intents: The items of those whose change is told, with the event in them: who finds one after a crash tells
            it again, the same to the letter.
    """

    intents: list[Item] = field(default_factory=list)
    changes: list[ReputationChangeV1] = field(default_factory=list)
    logged: list[LogRow] = field(default_factory=list)
    current: list[CurrentRow] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def add(self, change: ReputationChangeV1) -> None:
        """Store a change, and tell it unless it is about one pool."""
        if not isinstance(change, PoolChangeV1):
            self.changes.append(change)
        self.logged.append(logged(change))


def decide(
    store: PartitionStore,
    found: Sequence[tuple[Subject, Evidence]],
    *,
    policy: ReputationPolicy,
    now_ms: int,
    unsettled: UnsettledCounts | None = None,
    is_settled: bool = False,
) -> Decisions:
    """Return what the evidence of senders that a partition owns leads to.

    Args:
        unsettled: Remembered from look to look, and changed.
        is_settled: No events came in since the last look: counts are at rest.

    A fall with one mailbox provider is told when it is deeper than that of the domain, which says the rest. Changes
    over one IP pool are stored, every one, and not told.
    """
    keys = [key_of(subject) for subject, _ in found]
    known = store.get(keys)
    wholes = _states_of_domains(store, found)
    unsettled = {} if unsettled is None else unsettled
    decisions = Decisions()
    for key, (subject, evidence) in zip(keys, found, strict=True):
        value = known.get(key)
        state = ReputationState() if value is None else kept_from_bytes(value)[0]
        if state.at_ms > now_ms + MAX_AHEAD_MS:
            state = replace(state, at_ms=0)
        new, changes = evaluate(state, evidence, policy, now_ms)
        shown = new
        if subject.mailbox_provider and not all(
            _says_more(change, wholes.get(subject.domain)) for change in changes
        ):
            # As if it was not seen: the next look finds it again, and the domain may be better by then.
            new, changes = replace(state, at_ms=now_ms, counted=new.counted), ()
        is_known = value is not None and not changes and not _is_worth_keeping(state, new)
        if is_known and not _has_settled(key, state, new, unsettled, is_settled=is_settled):
            continue
        unsettled.pop(key, None)
        for change in changes:
            event = _event(subject, change)
            decisions.add(event)
            decisions.intents.append(Item(key, kept_to_bytes(new, event)))
        kept = kept_to_bytes(new)
        decisions.current.append(_current(subject, evidence, shown, policy, kept=kept))
        # A part of the mail of which nothing is left is forgotten.
        is_gone = subject.is_part and evidence == _NOTHING
        decisions.items.append(Item(key, None if is_gone else kept))
    return decisions


def left_over(store: PartitionStore, *, prefix: str, limit: int) -> Decisions:
    """Return what a worker that ended in the middle has left to tell."""
    decisions, after = Decisions(), ""
    while page := store.beginning(prefix, limit=limit, after=after):
        after = page[-1][0]
        for key, value in page:
            state, event = kept_from_bytes(value)
            if event is not None:
                decisions.add(event)
                # As if it was last looked at long ago: the next look stores the row of what is known now.
                decisions.items.append(Item(key, kept_to_bytes(replace(state, at_ms=0))))
    return decisions


def owner_of(sender_domain: str, partitions: int) -> int:
    """Return the partition that owns a sender domain."""
    return recipient_hash(sender_domain) % partitions


def logged(event: ReputationChangeV1) -> LogRow:
    """Return the row of an event."""
    before = event.before
    return LogRow(
        event_id=event.event_id,
        account_id=event.account_id,
        sender_domain=event.sender_domain,
        mailbox_provider=event.mailbox_provider or "",
        at=event.at,
        before_score=None if before is None else before.score,
        before_grade="" if before is None else before.grade,
        after_score=event.after.score,
        after_grade=event.after.grade,
        recommendation=event.recommendation,
        factors=json.dumps([factor.model_dump() for factor in event.factors]),
        ip_pool=event.ip_pool if isinstance(event, PoolChangeV1) else "",
        ip_pool_kind=event.ip_pool_kind if isinstance(event, PoolChangeV1) else "",
    )


def key_of(subject: Subject) -> str:
    """Return the key under which the state of a subject is kept."""
    if subject.ip_pool:
        return pool_key(subject.account_id, subject.sender_domain, subject.ip_pool, subject.ip_pool_kind)
    return state_key(subject.account_id, subject.sender_domain, subject.mailbox_provider)


def subject_of(key: str) -> Subject:
    """Return whose state is kept under a key.

    Raises:
        DataError: `invalid_key`, nobody's.
    """
    if not key.startswith(POOL_PREFIX):
        return Subject(*split_key(key))
    account_id, sender_domain, ip_pool, ip_pool_kind = split_pool_key(key)
    return Subject(account_id, sender_domain, ip_pool=ip_pool, ip_pool_kind=ip_pool_kind)


def _event(subject: Subject, change: ReputationChanged) -> ReputationChangeV1:
    who = {"account_id": subject.account_id, "sender_domain": subject.sender_domain}
    if subject.ip_pool:
        return pool_change(change, **who, ip_pool=subject.ip_pool, ip_pool_kind=subject.ip_pool_kind)
    return reputation_change(change, **who, mailbox_provider=subject.mailbox_provider or None)


def _states_of_domains(
    store: PartitionStore, found: Sequence[tuple[Subject, Evidence]]
) -> dict[Subject, ReputationState]:
    """Return what is known of the domains of which single providers were found."""
    keys = {state_key(s.account_id, s.sender_domain): s.domain for s, _ in found if s.mailbox_provider}
    return {keys[key]: kept_from_bytes(value)[0] for key, value in store.get(list(keys)).items()}


def _says_more(change: ReputationChanged, whole: ReputationState | None) -> bool:
    """Return whether a change with one provider says what that of the domain does not: a rise always does."""
    after, before = change.after.grade, "unknown" if change.before is None else change.before.grade
    if after == "unknown" or (before != "unknown" and RANK[after] > RANK[before]):
        return True
    return whole is None or whole.standing.grade == "unknown" or RANK[after] < RANK[whole.standing.grade]


def _is_worth_keeping(before: ReputationState, after: ReputationState) -> bool:
    if after.at_ms - before.at_ms >= KEEP_EVERY_MS:
        return True
    if _lasting(before) != _lasting(after) or _have_moved(before.counted, after.counted, step=COUNT_STEP):
        return True
    old, new = before.standing.score, after.standing.score
    return old != new if old is None or new is None else abs(old - new) >= SCORE_STEP


def _has_settled(
    key: str, before: ReputationState, after: ReputationState, unsettled: UnsettledCounts, *, is_settled: bool
) -> bool:
    """Return whether counts have come to rest at others than those that were kept."""
    is_due = after.at_ms - before.at_ms >= REST_EVERY_MS and before.counted != after.counted
    if not is_due and not _have_moved(before.counted, after.counted, step=REST_STEP):
        return False
    if is_settled or unsettled.get(key) == after.counted:
        return True
    unsettled[key] = after.counted
    return False


def _have_moved(before: Sequence[int] | None, after: Sequence[int] | None, *, step: float) -> bool:
    if before is None or after is None:
        return False  # of an older release: the hourly look keeps it
    return any(old != new and abs(new - old) >= step * old for old, new in zip(before, after, strict=True))


def _lasting(state: ReputationState) -> tuple[object, ...]:
    """Return everything of a state but its time and its score."""
    return (
        state.standing.grade,
        state.recommendation,
        state.is_judged,
        state.better_grade,
        state.better_from_ms,
    )


def _current(
    subject: Subject, evidence: Evidence, state: ReputationState, policy: ReputationPolicy, *, kept: bytes
) -> CurrentRow:
    counts = evidence.counts("30d")
    rates = {
        name: rate_of(bad_count=bad, base_count=base, z=policy.bound_z)
        for name, (bad, base) in {
            "complaint": counts.share_of("complaints"),
            "hard_bounce": counts.share_of("hard_bounces"),
            "refusal": counts.share_of("refusals"),
        }.items()
    }
    return CurrentRow(
        account_id=subject.account_id,
        sender_domain=subject.sender_domain,
        mailbox_provider=subject.mailbox_provider,
        owner_hash=recipient_hash(subject.sender_domain),
        at=moment(state.at_ms),
        score=state.standing.score,
        grade=state.standing.grade,
        recommendation=state.recommendation,
        outcome_count=counts.outcome_count,
        complaint_rate=rates["complaint"].rate,
        complaint_low=rates["complaint"].low,
        complaint_high=rates["complaint"].high,
        hard_bounce_rate=rates["hard_bounce"].rate,
        hard_bounce_low=rates["hard_bounce"].low,
        hard_bounce_high=rates["hard_bounce"].high,
        refusal_rate=rates["refusal"].rate,
        refusal_low=rates["refusal"].low,
        refusal_high=rates["refusal"].high,
        state=kept.decode(),
        ip_pool=subject.ip_pool,
        ip_pool_kind=subject.ip_pool_kind,
    )
