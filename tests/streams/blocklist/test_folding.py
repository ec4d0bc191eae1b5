"""Signals to work: what is published, what is kept, and what a fault of ours does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.partition_store import PartitionStore
from postloop.contracts.blocklist_state import entry_from_bytes, entry_key
from postloop.domain.blocklist import DEFAULT_POLICY, GLOBAL, Entry, Signal, TimePassed
from postloop.domain.blocklist.policy import DAY_MS
from postloop.domain.incident import DEFAULT_GUARD_POLICY
from postloop_streams.blocklist import folding
from postloop_streams.blocklist.folding import Folder
from postloop_streams.blocklist.holding import Holding
from postloop_streams.blocklist.watching import ProviderWatch
from postloop_streams.blocklist.work import Work
from tests.unit.domain.blocklist.histories import (
    ADDRESS,
    NOW_MS,
    complaint,
    days,
    delivered,
    hard,
    order,
    soft,
)


class Partition:
    """A folder with its items."""

    def __init__(self, store: PartitionStore) -> None:
        self.store = store
        self.folder = Folder(
            store,
            policy=DEFAULT_POLICY,
            form="clear",
            holding=Holding(store, policy=DEFAULT_POLICY, is_on=True),
            watch=ProviderWatch(store, policy=DEFAULT_GUARD_POLICY),
        )

    def fold(self, *signals: Signal, now_ms: int = NOW_MS) -> Work:
        work = self.folder.fold(signals, now_ms=now_ms)
        self.store.apply(work.items.values())
        return work

    def entry(self, scope: str = GLOBAL) -> Entry | None:
        value = self.store.get([entry_key(scope, ADDRESS)])
        return entry_from_bytes(next(iter(value.values()))) if value else None


@pytest.fixture
def partition(tmp_path: Path) -> Iterator[Partition]:
    with PartitionStore(tmp_path / "0.sqlite") as store:
        yield Partition(store)


def topics(work: Work) -> list[str]:
    return [record.topic for record in work.outgoing]


def test_a_block_is_published_as_an_event_and_as_state(partition: Partition) -> None:
    work = partition.fold(hard(days(1)))

    assert topics(work) == ["blocklist.insert", "blocklist.state"]
    insert, state = work.outgoing
    assert insert.key == ADDRESS
    assert state.key == f"global|{ADDRESS}"
    assert insert.value == state.value
    event: dict[str, Any] = json.loads(insert.value or b"")
    assert event["change"] == "inserted"
    assert event["evidence"]["source_event_ids"] == [hard(days(1)).evidence.event_id]


def test_a_release_is_published_and_the_state_is_deleted(partition: Partition) -> None:
    partition.fold(hard(days(1)))
    work = partition.fold(TimePassed(scope=GLOBAL, recipient=ADDRESS), now_ms=NOW_MS + 14 * DAY_MS)

    assert topics(work) == ["blocklist.expire", "blocklist.state"]
    assert work.outgoing[1].value is None
    assert json.loads(work.outgoing[0].value or b"")["cause"] == "lease_ended"
    assert partition.entry() is None


def test_signals_of_one_batch_build_on_each_other(partition: Partition) -> None:
    work = partition.fold(hard(days(2)), hard(days(1), "b"), complaint(days(1)))

    assert (work.inserted, work.extended) == (2, 1)
    assert partition.entry() is not None
    assert partition.entry("shop.example") is not None


def test_a_repeated_command_repeats_the_first_answer(partition: Partition) -> None:
    partition.fold(hard(days(1)))
    first = partition.fold(order("unblock"))
    same_batch = partition.fold(order("block", command_id="x"), order("unblock", command_id="x"))
    again = partition.fold(order("unblock"))

    replies = [
        json.loads(r.value or b"") for r in first.outgoing + again.outgoing if r.topic == "blocklist.reply"
    ]
    assert replies[0] == replies[1]
    assert replies[0]["outcome"] == "done"
    assert len(replies[0]["event_ids"]) == 1
    assert "blocklist.expire" not in topics(again)
    twice = [r.value for r in same_batch.outgoing if r.topic == "blocklist.reply"]
    assert twice[0] == twice[1]


def test_deliveries_to_unknown_addresses_are_not_kept_and_still_count(partition: Partition) -> None:
    assert partition.fold(delivered(days(3.5))).items == {}

    work = partition.fold(soft(days(5)), soft(days(4)), soft(days(3)))
    assert work.outgoing == []
    entry = partition.entry()
    assert entry is not None and [d.at_ms for d in entry.deliveries] == [days(3.5)]


def test_a_delivery_to_a_blocked_address_is_kept_as_evidence(partition: Partition) -> None:
    partition.fold(hard(days(2)))
    work = partition.fold(delivered(days(1)))

    assert work.outgoing == []
    entry = partition.entry()
    assert entry is not None and len(entry.deliveries) == 1


def test_what_is_due_and_has_nothing_to_do_is_not_due_again_at_once(partition: Partition) -> None:
    partition.fold(hard(days(1)))
    work = partition.fold(TimePassed(scope=GLOBAL, recipient=ADDRESS))

    (item,) = work.items.values()
    assert item.due_ms == days(1) + 14 * DAY_MS
    assert work.outgoing == []


def test_a_fault_in_the_rules_keeps_the_signal_apart_and_goes_on(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = folding.decide

    def decide(entry: Any, signal: Signal, policy: Any, now_ms: int) -> Any:
        if signal.scope != GLOBAL:
            raise ZeroDivisionError("planted")
        return real(entry, signal, policy, now_ms)

    monkeypatch.setattr(folding, "decide", decide)
    work = partition.fold(complaint(days(1)), hard(days(1)))

    assert work.inserted == 1
    ((signal, trace),) = work.failures
    assert signal == complaint(days(1))
    assert "ZeroDivisionError: planted" in trace
