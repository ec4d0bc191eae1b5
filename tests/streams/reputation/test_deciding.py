"""What evidence leads to: what is told, what is kept, and what is not worth either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.reputation_store import Subject
from postloop.contracts.reputation import KEY_PREFIX, kept_from_bytes, kept_to_bytes, state_key
from postloop.domain.intervals import corrected_wilson
from postloop.domain.reputation import (
    DAY_MS,
    DEFAULT_REPUTATION_POLICY,
    Evidence,
    ReputationState,
    WindowCounts,
    evidence_of,
)
from postloop_streams.reputation.deciding import KEEP_EVERY_MS, Decisions, decide, left_over, owner_of

NOW_MS = 1_790_000_000_000
SENDER = Subject("acme", "mail.acme.example")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PartitionStore]:
    with PartitionStore(tmp_path / "0.sqlite") as store:
        yield store


def mail(delivered: int = 10_000, **counts: int) -> Evidence:
    return evidence_of(WindowCounts(delivered_count=delivered, reporting_delivered_count=delivered, **counts))


def judged(
    store: PartitionStore, evidence: Evidence, *, now_ms: int = NOW_MS, subject: Subject = SENDER
) -> Decisions:
    """Decide, and do what was decided."""
    decisions = decide(store, [(subject, evidence)], policy=DEFAULT_REPUTATION_POLICY, now_ms=now_ms)
    store.apply(decisions.items)
    return decisions


def test_a_first_verdict_that_is_good_is_kept_and_not_told(store: PartitionStore) -> None:
    decisions = judged(store, mail())
    assert (decisions.changes, decisions.logged, decisions.intents) == ([], [], [])
    assert [row.grade for row in decisions.current] == ["high"]


def test_a_fall_is_meant_told_logged_and_kept(store: PartitionStore) -> None:
    judged(store, mail())
    decisions = judged(store, mail(complaint_count=50), now_ms=NOW_MS + 1)

    (change,), (row,) = decisions.changes, decisions.logged
    assert (change.before and change.before.grade, change.after.grade) == ("high", "bad")
    assert (row.event_id, row.before_grade, row.after_grade) == (change.event_id, "high", "bad")
    assert json.loads(row.factors) == [factor.model_dump() for factor in change.factors]
    (intent,), (item,) = decisions.intents, decisions.items
    assert kept_from_bytes(intent.value or b"")[1] == change
    assert kept_from_bytes(item.value or b"")[1] is None


def test_the_same_again_leads_to_nothing_until_it_is_written_once_more(store: PartitionStore) -> None:
    judged(store, mail())
    assert judged(store, mail(), now_ms=NOW_MS + KEEP_EVERY_MS - 1).items == []
    assert len(judged(store, mail(), now_ms=NOW_MS + KEEP_EVERY_MS).items) == 1


def test_a_score_that_hardly_moves_is_not_written(store: PartitionStore) -> None:
    judged(store, mail(hard_bounce_count=200))
    assert judged(store, mail(hard_bounce_count=201), now_ms=NOW_MS + 1).items == []
    assert len(judged(store, mail(hard_bounce_count=300), now_ms=NOW_MS + 2).items) == 1


def test_a_verdict_with_one_provider_says_so_and_stands_beside_that_of_the_domain(
    store: PartitionStore,
) -> None:
    judged(store, mail())
    (change,) = judged(store, mail(complaint_count=50), subject=AT_YAHOO).changes
    assert change.mailbox_provider == "yahoo"
    assert judged(store, mail(), now_ms=NOW_MS + 1).changes == []
    whole = judged(store, mail(complaint_count=50), now_ms=NOW_MS + 2).changes[0]
    assert whole.mailbox_provider is None
    assert whole.event_id != change.event_id


AT_YAHOO = Subject("acme", "mail.acme.example", "yahoo")


def test_a_fall_with_a_provider_is_told_only_where_the_domain_is_better(store: PartitionStore) -> None:
    bad = mail(complaint_count=50)
    judged(store, bad)
    decisions = judged(store, bad, subject=AT_YAHOO, now_ms=NOW_MS + 1)
    assert decisions.changes == []
    assert [row.grade for row in decisions.current] == ["bad"]
    assert judged(store, bad, subject=AT_YAHOO, now_ms=NOW_MS + 2).items == []

    store.apply(
        [Item(state_key("acme", "mail.acme.example"), kept_to_bytes(ReputationState(is_judged=True)))]
    )
    judged(store, mail(), now_ms=NOW_MS + 3)
    (change,) = judged(store, bad, subject=AT_YAHOO, now_ms=NOW_MS + 4).changes
    assert (change.mailbox_provider, change.before, change.after.grade) == ("yahoo", None, "bad")
    assert judged(store, bad, subject=AT_YAHOO, now_ms=NOW_MS + 5).changes == []


def test_a_rise_with_a_provider_is_told_however_the_domain_is(store: PartitionStore) -> None:
    judged(store, mail())
    judged(store, mail(complaint_count=50), subject=AT_YAHOO)
    judged(store, mail(complaint_count=50), now_ms=NOW_MS + 1)
    told = []
    for day in range(20):
        told += judged(store, mail(), subject=AT_YAHOO, now_ms=NOW_MS + 2 + day * DAY_MS).changes
    assert [change.after.grade for change in told] == ["high"]


def test_what_was_meant_and_perhaps_not_told_is_told_the_same_once(store: PartitionStore) -> None:
    bad = mail(complaint_count=50)
    decisions = decide(store, [(SENDER, bad)], policy=DEFAULT_REPUTATION_POLICY, now_ms=NOW_MS)
    store.apply(decisions.intents)

    found = left_over(store, prefix=KEY_PREFIX, limit=10)
    assert (found.changes, found.logged) == (decisions.changes, decisions.logged)
    store.apply(found.items)
    assert left_over(store, prefix=KEY_PREFIX, limit=10) == Decisions()
    later = judged(store, bad, now_ms=NOW_MS + 1)
    assert (later.changes, [row.grade for row in later.current]) == ([], ["bad"])


counts = st.builds(
    lambda delivered, reporting, hard, soft, refused, complaints: WindowCounts(
        delivered_count=delivered,
        reporting_delivered_count=min(reporting, delivered),
        hard_bounce_count=hard,
        soft_bounce_count=soft,
        standing_refusal_count=min(refused, hard + soft),
        complaint_count=complaints,
    ),
    *[st.integers(0, 2_000)] * 2,
    *[st.integers(0, 300)] * 4,
)


@given(counted=counts)
def test_the_row_of_a_sender_has_the_rates_of_30_days_with_their_intervals(
    tmp_path_factory: pytest.TempPathFactory, counted: WindowCounts
) -> None:
    with PartitionStore(tmp_path_factory.mktemp("row") / "0.sqlite") as store:
        (row,) = judged(store, Evidence({"30d": counted})).current
    outcomes = counted.delivered_count + counted.hard_bounce_count + counted.soft_bounce_count
    assert row.outcome_count == outcomes
    assert row.owner_hash == recipient_hash("mail.acme.example")
    for name, hits, base in (
        ("complaint", counted.complaint_count, counted.reporting_delivered_count),
        ("hard_bounce", counted.hard_bounce_count, outcomes),
        ("refusal", counted.standing_refusal_count, outcomes),
    ):
        found = tuple(getattr(row, f"{name}_{part}") for part in ("rate", "low", "high"))
        if base:
            bounds = corrected_wilson(hit_count=hits, count=max(base, hits), z=1.96)
            assert found == (min(hits / base, 1.0), *bounds)
        else:
            assert found == (None, 0.0, 1.0)


def test_senders_are_spread_over_all_partitions() -> None:
    owners = {owner_of(f"d{number}.example", 8) for number in range(200)}
    assert owners == set(range(8))


def test_keys_of_a_domain_and_of_its_providers_differ() -> None:
    assert len({state_key("a", "b"), state_key("a", "b", "gmail"), state_key("a", "b|gmail")}) == 3
