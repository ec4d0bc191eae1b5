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
from postloop.contracts.reputation import (
    KEY_PREFIX,
    POOL_PREFIX,
    REPUTATION_PREFIXES,
    kept_from_bytes,
    kept_to_bytes,
    state_key,
)
from postloop.domain.errors import DataError
from postloop.domain.intervals import corrected_wilson
from postloop.domain.reputation import (
    DAY_MS,
    DEFAULT_REPUTATION_POLICY,
    Evidence,
    ReputationState,
    WindowCounts,
    evidence_of,
)
from postloop_streams.reputation.deciding import (
    KEEP_EVERY_MS,
    REST_EVERY_MS,
    Decisions,
    UnsettledCounts,
    decide,
    key_of,
    left_over,
    owner_of,
    subject_of,
)

NOW_MS = 1_790_000_000_000
SENDER = Subject("acme", "mail.acme.example")
OTHER = Subject("zeta", "news.zeta.example")


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


def test_counts_that_moved_are_shown_at_once_where_it_is_by_a_tenth_and_else_when_they_rest(
    store: PartitionStore,
) -> None:
    """A sender with a score of 100 was shown with the counts of its first look for an hour."""
    unsettled: UnsettledCounts = {}

    def shown(evidence: Evidence, after_ms: int) -> list[int]:
        decisions = decide(
            store,
            [(SENDER, evidence)],
            policy=DEFAULT_REPUTATION_POLICY,
            now_ms=NOW_MS + after_ms,
            unsettled=unsettled,
        )
        store.apply(decisions.items)
        return [row.outcome_count for row in decisions.current]

    assert shown(mail(1_000), 0) == [1_000]
    assert shown(mail(1_100), 1) == [1_100]
    assert shown(mail(1_120), 2) == []
    assert shown(mail(1_130), 3) == []
    assert shown(mail(1_130), 4) == [1_130]
    assert shown(mail(1_130), 5) == []
    assert unsettled == {}
    # Less than a hundredth is worth a row every ten minutes.
    for after_ms in (6, 7, 3 + REST_EVERY_MS):
        assert shown(mail(1_131), after_ms) == []
    assert shown(mail(1_131), 4 + REST_EVERY_MS) == []
    assert shown(mail(1_131), 5 + REST_EVERY_MS) == [1_131]


def test_a_clock_that_was_a_day_ahead_silences_nobody(store: PartitionStore) -> None:
    judged(store, mail(), now_ms=NOW_MS + DAY_MS)
    (change,) = judged(store, mail(complaint_count=50), now_ms=NOW_MS).changes
    assert change.after.grade == "bad"
    judged(store, mail(), subject=OTHER, now_ms=NOW_MS + 1_000)
    assert judged(store, mail(complaint_count=50), subject=OTHER, now_ms=NOW_MS).changes == []


def test_a_first_complaint_is_shown_at_once(store: PartitionStore) -> None:
    judged(store, mail(hard_bounce_count=200))
    (row,) = judged(store, mail(hard_bounce_count=200, complaint_count=1), now_ms=NOW_MS + 1).current
    assert row.complaint_rate == 1 / 10_000


def test_what_an_older_release_kept_is_read(store: PartitionStore) -> None:
    (item,) = judged(store, mail()).items
    plain = json.loads(item.value or b"")
    del plain["counted"]
    assert kept_from_bytes(json.dumps(plain).encode())[0].counted is None
    store.apply([Item(item.key, json.dumps(plain).encode())])
    assert judged(store, mail(9_000), now_ms=NOW_MS + 1).changes == []


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


OVER_POOL = Subject("acme", "mail.acme.example", "", "eu-1", "shared")


def test_every_change_over_a_pool_is_stored_and_none_is_told(store: PartitionStore) -> None:
    """Also a fall that the whole domain shares: the history over a pool is complete."""
    bad = mail(complaint_count=50)
    (whole,) = judged(store, bad).logged
    decisions = judged(store, bad, subject=OVER_POOL)
    (row,), (current,) = decisions.logged, decisions.current
    assert (row.ip_pool, row.ip_pool_kind, row.before_grade, row.after_grade) == ("eu-1", "shared", "", "bad")
    assert (current.ip_pool, current.ip_pool_kind, current.grade) == ("eu-1", "shared", "bad")
    assert (decisions.changes, row.event_id != whole.event_id) == ([], True)
    (risen,) = [
        row
        for day in range(1, 20)
        for row in judged(store, mail(), subject=OVER_POOL, now_ms=NOW_MS + day * DAY_MS).logged
    ]
    assert (risen.before_grade, risen.after_grade) == ("bad", "high")


def test_a_change_over_a_pool_that_was_perhaps_not_stored_is_stored_the_same(store: PartitionStore) -> None:
    bad = mail(complaint_count=50)
    decisions = decide(store, [(OVER_POOL, bad)], policy=DEFAULT_REPUTATION_POLICY, now_ms=NOW_MS)
    store.apply(decisions.intents)

    found = left_over(store, prefix=POOL_PREFIX, limit=10)
    assert (found.changes, found.logged) == ([], decisions.logged)
    store.apply(found.items)
    assert left_over(store, prefix=POOL_PREFIX, limit=10) == Decisions()


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


@given(names=st.tuples(*[st.text(min_size=1)] * 4), is_pool=st.booleans())
def test_a_key_tells_whose_state_it_is(names: tuple[str, str, str, str], is_pool: bool) -> None:
    account, domain, part, kind = names
    subject = Subject(account, domain, "", part, kind) if is_pool else Subject(account, domain, part)
    assert subject_of(key_of(subject)) == subject
    assert key_of(subject).startswith(REPUTATION_PREFIXES)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("r|", id="no names"),
        pytest.param('r|["a"]', id="too few"),
        pytest.param('p|["a", "b", "c"]', id="too few of a pool"),
        pytest.param('r|{"a": 1}', id="no list"),
    ],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="not the key of a sender"):
        subject_of(key)
