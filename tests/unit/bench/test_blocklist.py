"""Entries, events and lateness of the benchmarks of the blocklist."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from bench.blocklist.asking import questions
from bench.blocklist.ending import lateness_ms
from bench.blocklist.entries import changelog, made_entries, state
from bench.blocklist.events import address, deliveries, hard_bounces
from bench.blocklist.throughput import told
from bench.processes import BenchError

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.contracts.blocklist import BlocklistInsertV1, expire_bytes
from postloop.contracts.blocklist_state import entry_from_bytes, entry_to_bytes
from postloop.contracts.changelog import RESTORED_KEY
from postloop.domain.blocklist import (
    DEFAULT_POLICY,
    GLOBAL,
    Reported,
    TimePassed,
    decide,
    due_ms,
)
from postloop.domain.blocklist.changes import Released
from postloop.domain.blocklist.entry import Entry

BOUNCED_MS = 1_790_000_000_123
AT = datetime(2026, 9, 21, tzinfo=UTC)


def decided(entry: Entry) -> Entry:
    """Return what the rules make of an entry's evidence, with the ids of the entry."""
    signal = Reported(
        scope=GLOBAL, recipient=entry.recipient, provider=entry.provider, evidence=entry.evidence[0]
    )
    made, _ = decide(None, signal, DEFAULT_POLICY, BOUNCED_MS)
    assert made.told is not None and entry.told is not None
    return replace(made, told=replace(made.told, entry_id=entry.told.entry_id, event_id=entry.told.event_id))


def test_made_entries_are_what_the_rules_would_have_made() -> None:
    for number, made in enumerate(made_entries("x", 50, bounced_ms=BOUNCED_MS)):
        entry = entry_from_bytes(made.entry)
        assert entry.recipient == made.recipient == address("x", number)
        assert entry == decided(entry)
        assert entry_to_bytes(entry) == made.entry
        assert due_ms(entry, DEFAULT_POLICY) == BOUNCED_MS + number + DEFAULT_POLICY.lease_ms


def test_made_states_are_insert_events_of_the_entries() -> None:
    ids = set()
    for made in made_entries("x", 50, bounced_ms=BOUNCED_MS):
        told_last = entry_from_bytes(made.entry).told
        event = BlocklistInsertV1.model_validate_json(made.state)
        assert told_last is not None
        assert (event.recipient, event.entry_id) == (made.recipient, told_last.entry_id)
        assert event.model_dump_json().encode() == made.state
        ids |= {event.entry_id, event.event_id}
    assert len(ids) == 100


def test_the_changelog_begins_with_the_mark_of_each_partition_and_places_entries_where_they_are_owned() -> (
    None
):
    records = list(changelog("x", 40, bounced_ms=BOUNCED_MS, partitions=3))
    assert [(r.partition, r.key) for r in records[:3]] == [(n, RESTORED_KEY.encode()) for n in range(3)]
    for record in records[3:]:
        assert record.partition == recipient_hash(entry_from_bytes(record.value).recipient) % 3
    assert len(list(state("x", 40, bounced_ms=BOUNCED_MS, partitions=3))) == len(records) - 3


def test_events_are_of_addresses_that_differ() -> None:
    made = [
        *hard_bounces("a", 20, at=AT, partitions=4),
        *hard_bounces("b", 20, at=AT, partitions=4),
        *deliveries("c", 20, at=AT, partitions=4),
    ]
    assert len({record.key for record in made}) == 60
    assert {record.partition for record in made} <= set(range(4))


def expired(at_ms: int) -> bytes:
    """Return the event of the end of a lease, decided `at_ms`."""
    (made,) = made_entries("x", 1, bounced_ms=BOUNCED_MS)
    entry = entry_from_bytes(made.entry)
    _, (change,) = decide(entry, TimePassed(scope=GLOBAL, recipient=entry.recipient), DEFAULT_POLICY, at_ms)
    assert isinstance(change, Released)
    return expire_bytes(change, form="clear")


def test_lateness_counts_from_the_end_or_from_when_a_worker_was_ready() -> None:
    end_s = (BOUNCED_MS + DEFAULT_POLICY.lease_ms) / 1000
    value = expired(int(end_s * 1000) + 5)
    assert lateness_ms(end_s + 0.5, value, since_s=0) == pytest.approx(500, abs=1)
    assert lateness_ms(end_s + 9.5, value, since_s=end_s + 9) == pytest.approx(500, abs=1)


def test_an_event_of_another_cause_is_no_end_of_a_lease() -> None:
    value = expired(BOUNCED_MS + DEFAULT_POLICY.lease_ms).replace(b"lease_ended", b"rolled_back")
    with pytest.raises(BenchError, match="rolled_back"):
        lateness_ms(0.0, value, since_s=0)


def test_about_half_of_the_questions_are_about_listed_addresses() -> None:
    asked = questions(1000, 2000, seed=3)
    listed = sum(recipient.startswith("listed") for _, recipient in asked)
    assert 900 < listed < 1100
    assert asked == questions(1000, 2000, seed=3)


def test_what_is_seen_on_the_way_is_told() -> None:
    seen, looks = list[int](), iter([0, 4, 9])
    reached = told(lambda: next(looks), 5, seen.append)
    assert [reached(), reached(), reached()] == [False, False, True]
    assert seen == [0, 4, 9]
