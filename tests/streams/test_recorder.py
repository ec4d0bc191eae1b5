"""The recorder on a store in memory: whatever fails, every event is stored once and counted once."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import RecorderMetrics
from postloop.contracts.deadletter import DeadLetterV1
from postloop.settings import Settings
from postloop_streams.recorder.recorder import Outside, Recorder
from postloop_streams.transport import Lease
from tests.support.memory_run_store import Fault, MemoryRunStore
from tests.support.records import FakeRecord

TOPIC = "email.send"
NOW = datetime.now(UTC)


def event(event_id: str, **changes: Any) -> bytes:
    fields = {
        "event_id": event_id,
        "occurred_at": NOW.isoformat(),
        "account_id": "a1",
        "message_id": "m1",
        "sender_domain": "shop.example",
        "recipient": "ann@gmail.com",
        **changes,
    }
    return json.dumps(fields).encode()


@dataclass
class World:
    """Everything that outlives a crash of the worker: the store, the log, the committed offsets."""

    store: MemoryRunStore = field(default_factory=MemoryRunStore)
    log: dict[int, list[FakeRecord]] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    published: list[DeadLetterV1] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    topic_id: str = "topic-1"
    generation: int = 0

    def produce(self, partition: int, *values: bytes | None) -> None:
        records = self.log.setdefault(partition, [])
        records += [FakeRecord(len(records) + n, value) for n, value in enumerate(values)]

    def worker(self, **changes: Any) -> Recorder:
        async def publish(letters: Sequence[DeadLetterV1]) -> None:
            self.published += letters

        lease = Lease(1e9)
        lease.confirm(0)
        values = {"linger": timedelta(milliseconds=1), "clickhouse_url": "http://h:1", **changes}
        return Recorder(
            Settings(**values),
            Outside(
                store=self.store,
                topic_ids=lambda names: dict.fromkeys(names, self.topic_id),
                generation=lambda: self.generation,
                publish=publish,
                fail=self.failures.append,
            ),
            lease=lease,
            metrics=RecorderMetrics(),
            health=HealthState(),
        )

    async def read_all(self, worker: Recorder, *, batch: int = 3, crash_after: int | None = None) -> None:
        """Let a worker own everything and read from the committed offsets; stop dead after some batches."""
        self.generation += 1
        await worker.assign(self.generation, {(TOPIC, p): self.committed.get(p, 0) for p in self.log})
        taken = 0
        for partition, records in self.log.items():
            for start in range(self.committed.get(partition, 0), len(records), batch):
                if taken == crash_after:
                    return
                part = records[start : start + batch]
                await worker.take(
                    self.generation, TOPIC, partition, part, self._acker(partition, part[-1].offset + 1)
                )
                taken += 1
        if crash_after is None:
            assert await worker.drain(timeout_s=20)

    def _acker(self, partition: int, end: int) -> Any:
        def ack() -> None:
            self.committed[partition] = end

        return ack


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between attempts are not what is tested."""
    from postloop_streams.recorder import storing

    monkeypatch.setattr(storing, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(storing, "_LONGEST_PAUSE_S", 0.005)


@pytest.fixture(autouse=True, params=["objects", "columns"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds for few records, decoded one by one, and for many, decoded by columns."""
    from postloop.adapters.event_columns import reading
    from postloop_streams.recorder import intake

    fewest = 1 if request.param == "columns" else 1_000_000
    monkeypatch.setattr(reading, "FEWEST", fewest)
    monkeypatch.setattr(intake, "FEWEST", fewest)


async def test_events_are_stored_and_acked() -> None:
    world = World()
    world.produce(0, event("e1"), event("e2"))
    await world.read_all(world.worker())
    assert world.store.stored_ids == Counter(["e1", "e2"])
    assert world.committed == {0: 2}


async def test_a_bad_record_becomes_a_dead_letter_with_its_bytes_and_its_neighbours_are_stored() -> None:
    world = World()
    world.produce(0, event("e1"), b"{bad", None, event("e2"), b"[" + event("e3") + b",7]")
    await world.read_all(world.worker(), batch=10)
    assert world.store.stored_ids == Counter(["e1", "e2", "e3"])
    assert [(letter.offset, letter.index, letter.value) for letter in world.published] == [
        (1, None, b"{bad"),
        (2, None, None),
        (4, 1, b"7"),
    ]
    assert {row["offset"] for row in world.store.dead_letters.values()} == {1, 2, 4}
    assert world.committed == {0: 5}


async def test_a_repeat_on_the_same_partition_is_dropped_also_after_a_restart() -> None:
    world = World()
    world.produce(0, event("e1"), event("e1"))
    await world.read_all(world.worker())
    world.produce(0, event("e1"), event("e2"))
    await world.read_all(world.worker())
    assert world.store.stored_ids == Counter(["e1", "e2"])
    assert world.committed == {0: 4}


async def test_a_stored_run_that_was_never_committed_is_not_stored_again() -> None:
    world = World()
    world.produce(0, event("e1"), event("e2"))
    await world.read_all(world.worker())
    world.committed.clear()
    await world.read_all(world.worker())
    assert world.store.stored_ids == Counter(["e1", "e2"])
    assert world.committed == {0: 2}


async def test_an_outage_while_stored_rows_are_looked_up_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from postloop.adapters.errors import UnavailableError
    from postloop_streams.recorder import recorder

    class AwayOnce(MemoryRunStore):
        asked = 0

        def stored_positions(self, *arguments: Any, **named: Any) -> Any:
            self.asked += 1
            if self.asked == 1:
                raise UnavailableError("connection refused")
            return super().stored_positions(*arguments, **named)

    monkeypatch.setattr(recorder, "_OPENING_PAUSE_S", 0.01)
    world = World(store=AwayOnce())
    world.produce(0, event("e1"), event("e2"))
    await world.read_all(world.worker())
    world.committed.clear()  # the commit never came, and a new record follows in the same batch
    world.produce(0, event("e3"))
    await world.read_all(world.worker(), batch=10)
    assert world.store.asked == 2
    assert world.store.stored_ids == Counter(["e1", "e2", "e3"])
    assert world.committed == {0: 3}


async def test_a_log_that_came_back_empty_starts_again_and_hides_nothing() -> None:
    world = World()
    world.produce(0, event("e1"), event("e2"))
    await world.read_all(world.worker())
    world.log, world.committed, world.topic_id = {}, {}, "topic-2"
    world.produce(0, event("e3"))
    await world.read_all(world.worker())
    assert world.store.stored_ids == Counter(["e1", "e2", "e3"])


async def test_a_log_that_was_cut_and_went_on_with_other_records_hides_nothing() -> None:
    world = World()
    world.produce(0, event("e1"), event("e2"), event("e3"))
    await world.read_all(world.worker())
    world.log, world.committed = {}, {}
    world.produce(0, event("e1"), event("new"), event("e3"))
    await world.read_all(world.worker())
    assert world.store.stored_ids == Counter(["e1", "e2", "e3", "new"])


async def test_records_of_another_generation_are_left_to_their_owner() -> None:
    world, acks = World(), []
    world.produce(0, event("e1"))
    worker, world.generation = world.worker(), 5
    await worker.assign(5, {(TOPIC, 0): 0})
    await worker.take(4, TOPIC, 0, world.log[0], lambda: acks.append(1))
    assert await worker.drain(timeout_s=5)
    assert world.store.stored_ids == Counter() and acks == []


async def test_records_that_come_before_the_word_of_their_assignment_wait_for_it() -> None:
    world = World()
    world.produce(0, event("e1"))
    worker, world.generation = world.worker(), 7
    early = asyncio.create_task(worker.take(7, TOPIC, 0, world.log[0], world._acker(0, 1)))
    await asyncio.sleep(0.01)
    await worker.assign(7, {(TOPIC, 0): 0})
    await early
    assert await worker.drain(timeout_s=5)
    assert world.committed == {0: 1}


async def test_nothing_is_acked_after_revocation() -> None:
    world, acks = World(), []
    world.produce(0, event("e1"))
    worker = world.worker(linger=timedelta(seconds=30))
    world.generation = 1
    await worker.assign(1, {(TOPIC, 0): 0})
    await worker.take(1, TOPIC, 0, world.log[0], lambda: acks.append(1))
    await worker.revoke()
    assert world.store.stored_ids == Counter() and acks == []


async def test_what_is_delivered_twice_in_a_generation_is_acked_when_it_is_stored() -> None:
    world = World()
    world.produce(0, event("e1"), event("e2"))
    worker = world.worker()
    world.generation = 1
    await worker.assign(1, {(TOPIC, 0): 0})
    await worker.take(1, TOPIC, 0, world.log[0], lambda: None)
    await worker.take(1, TOPIC, 0, world.log[0], world._acker(0, 2))
    assert await worker.drain(timeout_s=5)
    assert world.store.stored_ids == Counter(["e1", "e2"]) and world.committed == {0: 2}


async def test_a_full_buffer_makes_the_agent_wait_and_loses_nothing() -> None:
    world = World(store=MemoryRunStore(["refused before"] * 30))
    world.produce(0, *(event(f"e{n}") for n in range(3_000)))
    await world.read_all(world.worker(buffer_max_rows=1_000, run_max_rows=500), batch=100)
    assert world.store.stored_ids == Counter(f"e{n}" for n in range(3_000))


async def test_while_more_than_a_run_is_behind_runs_are_not_cut_by_time() -> None:
    world = World()
    world.produce(0, *(event(f"e{n}") for n in range(20)))
    worker, world.generation = world.worker(run_max_rows=100), 1
    await worker.assign(1, {(TOPIC, 0): 0})
    await worker.take(1, TOPIC, 0, world.log[0][:10], lambda: None, behind_count=101)
    await asyncio.sleep(0.05)  # fifty times the linger
    assert world.store.inserts == 0
    await worker.take(1, TOPIC, 0, world.log[0][10:], world._acker(0, 20), behind_count=0)
    for _ in range(100):
        await asyncio.sleep(0.01)
        if world.committed:
            break
    assert (world.store.inserts, world.committed) == (1, {0: 20})
    await worker.revoke()


async def test_a_broken_producer_stops_the_worker_before_the_topic_is_drained() -> None:
    world = World()
    world.produce(0, *(b"garbage" for _ in range(100)))
    worker = world.worker(invalid_window=20)
    world.generation = 1
    await worker.assign(1, {(TOPIC, 0): 0})
    for start in range(0, 100, 10):
        await worker.take(1, TOPIC, 0, world.log[0][start : start + 10], world._acker(0, start + 10))
    await asyncio.sleep(0.05)
    assert len(world.failures) == 1 and "20 of the last 20" in world.failures[0]
    assert world.committed.get(0, 0) <= 20 and len(world.published) <= 20


async def test_an_engine_that_doubles_a_healed_run_stops_the_worker() -> None:
    from postloop.adapters.run_store import RunChangedError

    class Doubling(MemoryRunStore):
        def heal(self, run_id: str, *, reason: str) -> int:
            raise RunChangedError(f"run {run_id} had 1 rows and has 2")

    world = World(store=Doubling(["answer lost"]))
    world.produce(0, event("e1"))
    worker = world.worker()
    world.generation = 1
    await worker.assign(1, {(TOPIC, 0): 0})
    await worker.take(1, TOPIC, 0, world.log[0], world._acker(0, 1))
    await asyncio.sleep(0.1)
    assert world.committed == {} and "had 1 rows and has 2" in world.failures[0]


async def test_no_insert_is_started_without_a_lease() -> None:
    world = World()
    world.produce(0, event("e1"))
    worker = world.worker()
    worker._writer._lease = Lease(5.0)  # no heartbeat was ever answered
    world.generation = 1
    await worker.assign(1, {(TOPIC, 0): 0})
    await worker.take(1, TOPIC, 0, world.log[0], world._acker(0, 1))
    assert not await worker.drain(timeout_s=0.3)
    assert world.store.inserts == 0
    await worker.revoke()


async def test_an_insert_is_told_when_the_lease_ends_and_is_tried_again_when_it_was_too_late() -> None:
    told: list[float] = []

    class StoppedOnce(MemoryRunStore):
        """As in a process that is stopped on the way to its first insert, for longer than its lease lasts."""

        def insert(self, rows: pa.Table, *, run_id: str, time_limit_s: float, ends_at_s: float = 0.0) -> None:
            told.append(ends_at_s)
            late_s = 60.0 if len(told) == 1 else 0.0
            super().insert(rows, run_id=run_id, time_limit_s=time_limit_s, ends_at_s=ends_at_s - late_s)

    world = World(store=StoppedOnce())
    world.produce(0, event("e1"))
    worker = world.worker()
    worker._writer._lease = lease = Lease(30.0)
    confirmed_at_s = time.monotonic() - 10
    lease.confirm(confirmed_at_s)
    world.generation = 1
    await worker.assign(1, {(TOPIC, 0): 0})
    await worker.take(1, TOPIC, 0, world.log[0], world._acker(0, 1))
    assert await worker.drain(timeout_s=10)
    assert len(told) == 2 and all(ends_at_s <= confirmed_at_s + 30 for ends_at_s in told)
    assert sum(len(rows) for rows in world.store.raw.values()) == 1
    await worker.revoke()


faults = st.lists(st.sampled_from(get_args(Fault)), max_size=6)
crashes = st.lists(st.integers(0, 8), max_size=4)


@given(faults, crashes, st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 5))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_fails_and_crashes_every_event_is_stored_and_counted_once(
    planned: list[Fault], crash_points: list[int], repeated: list[bool], batch: int
) -> None:
    world = World(store=MemoryRunStore(planned))
    for n, twice in enumerate(repeated):
        partition = n % 3
        world.produce(partition, event(f"e{n}"), *([event(f"e{n}")] if twice else []))

    async def life(crash_after: int | None) -> None:
        worker = world.worker()
        await world.read_all(worker, batch=batch, crash_after=crash_after)
        if crash_after is not None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    for crash_after in [*crash_points, None]:
        asyncio.run(life(crash_after))
    assert world.store.stored_ids == Counter(f"e{n}" for n in range(len(repeated)))
    assert world.store.view == world.store.stored_ids
    assert world.committed == {p: len(records) for p, records in world.log.items()}
    assert world.failures == []


def test_a_dead_letter_too_large_for_its_topic_is_published_without_its_value() -> None:
    from postloop.contracts.deadletter import dead_letter
    from postloop.contracts.field_errors import FieldError
    from postloop_streams.dead_letters import fitting

    def letter(size: int) -> DeadLetterV1:
        reason = (FieldError("too_large", "", "the record has more than 1000000 bytes"),)
        place = {"topic_id": "t", "topic": TOPIC, "partition": 0, "offset": 1, "index": None}
        return dead_letter(**place, key=b"k", value=b"x" * size, stage="decode", errors=reason, at=NOW)

    small, large = letter(1_000), letter(3_000_000)
    assert fitting(small) == small.to_bytes()
    published = DeadLetterV1.model_validate_json(fitting(large))
    assert len(fitting(large)) < 2_000 and published.event_id == large.event_id
    assert published.value is None and [e.code for e in published.errors] == ["too_large", "value_omitted"]
