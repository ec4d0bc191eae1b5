"""Cutting the log into runs."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.event_table import EventRows
from postloop.adapters.run_store import LogPartition
from postloop_streams.recorder.runs import Run, RunQueue, Stretch

NOW = datetime(2026, 1, 3, tzinfo=UTC)
EVENT = {
    "occurred_at": NOW,
    "account_id": "a",
    "message_id": "m",
    "sender_domain": "d.example",
    "recipient": "ann@gmail.com",
}
DAYS = [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]


def stretch(partition: int, day: date, offsets: list[int]) -> Stretch:
    log = LogPartition("email.send", "t1", partition)
    n = len(offsets)
    events = [{**EVENT, "event_id": f"{partition}-{offset}"} for offset in offsets]
    rows = EventRows("send", log.topic, log.topic_id, [partition] * n, offsets, [0] * n, [0] * n, events)
    return Stretch(log, day, rows, byte_count=100 * n)


def drained(queue: RunQueue) -> list[Run]:
    queue.seal_all()
    runs = []
    while (run := queue.due(now_s=0)) is not None:
        runs.append(run)
    return runs


arrivals = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(DAYS), st.integers(0, 5)), max_size=40)


@given(arrivals, st.integers(1, 12))
def test_every_record_is_in_one_run_of_its_day_and_each_partition_in_order(
    arriving: list[tuple[int, date, int]], max_rows: int
) -> None:
    queue, next_offset, sent = RunQueue(max_rows=max_rows, max_bytes=10**9, linger_s=1), [0] * 4, []
    for partition, day, count in arriving:
        offsets = list(range(next_offset[partition], next_offset[partition] + count))
        next_offset[partition] += count
        sent += [(partition, offset, day) for offset in offsets]
        queue.add(stretch(partition, day, offsets), now_s=0)
    stored = []
    for run in drained(queue):
        table = run.table(stored_at=NOW)
        rows = [] if table is None else table.select(["partition", "offset"]).to_pylist()
        assert len(rows) == run.row_count
        stored += [(row["partition"], row["offset"], run.day) for row in rows]
    assert sorted(stored) == sorted(sent)
    for partition in range(4):
        offsets = [offset for p, offset, _ in stored if p == partition]
        assert offsets == sorted(offsets), "an earlier record must never be stored after a later one"
    assert (queue.row_count, queue.byte_count, bool(queue)) == (0, 0, False)


def test_a_run_is_cut_when_it_is_full() -> None:
    queue = RunQueue(max_rows=4, max_bytes=10**9, linger_s=100)
    queue.add(stretch(0, DAYS[0], [0, 1, 2]), now_s=0)
    assert queue.due(now_s=0) is None
    queue.add(stretch(1, DAYS[0], [0]), now_s=0)
    run = queue.due(now_s=0)
    assert run is not None and run.row_count == 4


def test_a_run_is_cut_by_its_bytes() -> None:
    queue = RunQueue(max_rows=1000, max_bytes=150, linger_s=100)
    queue.add(stretch(0, DAYS[0], [0, 1]), now_s=0)
    assert queue.due(now_s=0) is not None


def test_runs_are_cut_by_time_once_a_linger_whenever_their_rows_come() -> None:
    queue = RunQueue(max_rows=1000, max_bytes=10**9, linger_s=10)
    assert queue.due_in_s(now_s=0) is None
    # After a pause the rows of one fetch are waited for, not the whole linger.
    queue.add(stretch(0, DAYS[0], [0]), now_s=100)
    assert queue.due(now_s=101.9) is None
    assert queue.due_in_s(now_s=101) == 1
    queue.add(stretch(1, DAYS[0], [0]), now_s=101.9)
    first = queue.due(now_s=102)
    assert first is not None and first.row_count == 2
    # What comes right behind a cut waits for what the brokers collect meanwhile.
    queue.add(stretch(0, DAYS[0], [1]), now_s=103)
    assert queue.due(now_s=110.9) is None
    assert queue.due_in_s(now_s=103) == 8
    assert queue.due(now_s=111) is not None
    # No run waits longer than the linger.
    queue.add(stretch(0, DAYS[0], [2]), now_s=111)
    assert queue.due_in_s(now_s=111) == 9


def test_a_stretch_without_rows_still_makes_a_run_that_acks() -> None:
    queue = RunQueue(max_rows=10, max_bytes=10**9, linger_s=0)
    queue.add(stretch(0, DAYS[0], []), now_s=0)
    run = queue.due(now_s=0)
    assert run is not None and run.row_count == 0 and run.logs and run.table(stored_at=NOW) is None
