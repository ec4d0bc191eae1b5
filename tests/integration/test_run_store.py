"""Runs on the real engine, and the states that a crash can leave behind, planted by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from postloop.adapters.errors import UnavailableError
from postloop.adapters.event_table import EventRows, event_table, joined
from postloop.adapters.run_store import (
    ClickHouseRunStore,
    LogPartition,
    RunChangedError,
    UnknownInsertError,
    new_run_id,
    run_day,
)
from postloop_streams.recorder.seen import hash_ids
from tests.support.database import Database, event, migrated_database

NOW = datetime.now(UTC).replace(microsecond=0)
LOG = LogPartition("email.send", "topic-1", 0)


@pytest.fixture(scope="module")
def shared() -> Database:
    return migrated_database()


@pytest.fixture
def db(shared: Database) -> Database:
    for table in ("events", "rollup_minute", "rollup_hour", "reconcile_queue", "dead_letters"):
        shared.client.command(f"TRUNCATE TABLE {table}")
    return shared


@pytest.fixture
def store(db: Database) -> ClickHouseRunStore:
    return ClickHouseRunStore(db.client)


def run_of(count: int, *, first_offset: int = 0, log: LogPartition = LOG) -> pa.Table:
    """Return the rows of a run; the tables of a run are several chunks, as the recorder makes them."""
    tables = []
    for start in range(0, count, 400):
        offsets = list(range(first_offset + start, first_offset + min(start + 400, count)))
        events = [
            {
                "event_id": f"{log.topic_id}-{log.partition}-{offset}",
                "occurred_at": NOW - timedelta(seconds=offset % 600),
                "account_id": f"a{offset % 7}",
                "message_id": f"m{offset}",
                "sender_domain": f"d{offset % 50}.example",
                "recipient": f"user{offset}@gmail.com",
            }
            for offset in offsets
        ]
        n, stamp = len(offsets), int(NOW.timestamp() * 1000)
        rows = EventRows(
            "send", log.topic, log.topic_id, [log.partition] * n, offsets, [0] * n, [stamp] * n, events
        )
        tables.append(event_table(rows))
    return joined(tables, stored_at=NOW)


def counts(db: Database) -> tuple[int, int, int]:
    """Return the rows stored, and the events counted by the minute and by the hour."""
    sums = [
        int(db.client.query(f"SELECT sum(event_count) FROM {table} WHERE cube = 'domain'").first_row[0])
        for table in ("rollup_minute", "rollup_hour")
    ]
    return int(db.client.query("SELECT count() FROM events").first_row[0]), sums[0], sums[1]


@pytest.mark.parametrize("count", [1, 399, 401, 20_000, 50_000])
def test_a_run_of_any_size_is_one_part_and_healing_it_changes_nothing(
    db: Database, store: ClickHouseRunStore, count: int
) -> None:
    run_id = new_run_id(NOW.date())
    store.insert(run_of(count), run_id=run_id, time_limit_s=30)
    parts = db.client.query(
        "SELECT count() FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND active"
    ).first_row[0]
    assert parts == 1
    for _ in range(2):
        assert store.heal(run_id, reason="test") == count
    assert counts(db) == (count, count, count)


@pytest.mark.parametrize("left_s", [-5.0, 0.5, 2.9])
def test_an_insert_that_could_not_end_in_time_is_not_begun(
    db: Database, store: ClickHouseRunStore, left_s: float
) -> None:
    """A process that was stopped after its look at the lease, and woken when others own its partitions."""
    run_id, ends_at_s = new_run_id(NOW.date()), time.monotonic() + left_s
    with pytest.raises(UnavailableError, match="too late to begin"):
        store.insert(run_of(10), run_id=run_id, time_limit_s=3, ends_at_s=ends_at_s)
    assert counts(db) == (0, 0, 0)
    store.insert(run_of(10), run_id=run_id, time_limit_s=3, ends_at_s=time.monotonic() + 60)
    assert counts(db) == (10, 10, 10)


@pytest.mark.parametrize("rollup", ["rollup_minute", "rollup_hour"])
def test_healing_gives_a_view_the_run_that_it_missed(
    db: Database, store: ClickHouseRunStore, rollup: str
) -> None:
    db.client.command(f"DETACH TABLE {rollup}_feed")
    run_id = new_run_id(NOW.date())
    store.insert(run_of(500), run_id=run_id, time_limit_s=30)
    db.client.command(f"ATTACH TABLE {rollup}_feed")
    assert sum(counts(db)) == 1_000
    store.heal(run_id, reason="test")
    assert counts(db) == (500, 500, 500)
    assert db.client.query("SELECT count() FROM reconcile_queue WHERE reason = 'test'").first_row[0] > 0


def test_a_lost_raw_part_whose_token_is_remembered_is_inserted_again_under_another_name(
    db: Database, store: ClickHouseRunStore
) -> None:
    lost = new_run_id(NOW.date())
    for feed in ("rollup_minute_feed", "rollup_hour_feed"):
        db.client.command(f"DETACH TABLE {feed}")
    store.insert(run_of(300), run_id=lost, time_limit_s=30)
    part = db.client.query(
        "SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND active"
    ).first_row[0]
    db.client.command(f"ALTER TABLE events DETACH PART '{part}'")
    for feed in ("rollup_minute_feed", "rollup_hour_feed"):
        db.client.command(f"ATTACH TABLE {feed}")
    assert store.row_count(lost) == 0
    store.insert(run_of(300), run_id=new_run_id(NOW.date()), time_limit_s=30)
    assert counts(db) == (300, 300, 300)


def test_healing_stops_when_the_engine_forgot_the_token(db: Database, store: ClickHouseRunStore) -> None:
    run_id = new_run_id(NOW.date())
    store.insert(run_of(100), run_id=run_id, time_limit_s=30)
    db.client.command("ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 0")
    try:
        with pytest.raises(RunChangedError, match="had 100 rows and has 200"):
            store.heal(run_id, reason="test")
    finally:
        db.client.command("ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 100000")


def test_the_last_run_of_each_partition_and_life_of_a_topic_is_found(store: ClickHouseRunStore) -> None:
    other, reborn = LogPartition("email.send", "topic-1", 1), LogPartition("email.send", "topic-2", 0)
    runs = [new_run_id(NOW.date()) for _ in range(3)]
    store.insert(run_of(10), run_id=runs[0], time_limit_s=30)
    store.insert(run_of(20, first_offset=0, log=other), run_id=runs[1], time_limit_s=30)
    store.insert(run_of(15, first_offset=10), run_id=runs[2], time_limit_s=30)
    found = store.last_stored([LOG, other, reborn])
    assert {log: (run.run_id, run.last_offset) for log, run in found.items()} == {
        LOG: (runs[2], 24),
        other: (runs[1], 19),
    }
    assert abs((found[LOG].stored_at - NOW).total_seconds()) < 1


def test_what_is_stored_of_a_range_is_told_by_place_and_hash(store: ClickHouseRunStore) -> None:
    store.insert(run_of(10), run_id=new_run_id(NOW.date()), time_limit_s=30)
    hashes = {(n, 0): int(hash_ids([f"topic-1-0-{n}"])[0]) for n in range(3, 6)}
    assert store.stored_positions(LOG, first=3, last=5) == hashes


def test_recent_ids_come_back_as_the_hashes_that_the_worker_computes(store: ClickHouseRunStore) -> None:
    store.insert(run_of(50), run_id=new_run_id(NOW.date()), time_limit_s=30)
    recent = store.recent_ids(
        [("email.send", 0), ("email.open", 3)], since=NOW - timedelta(hours=1), limit=1_000
    )
    assert set(recent) == {("email.send", 0)}
    assert set(recent["email.send", 0].tolist()) == set(
        hash_ids([f"topic-1-0-{n}" for n in range(50)]).tolist()
    )


def test_of_many_ids_the_newest_are_remembered_by_whole_seconds(db: Database) -> None:
    store = ClickHouseRunStore(db.client)
    db.insert(
        {
            **event("delivered", NOW - timedelta(hours=1)), "event_id": f"e{n}", "topic": "email.delivery",
            "partition": n % 2, "record_at": NOW - timedelta(hours=1), "stored_at": NOW - timedelta(seconds=n // 4),
        }
        for n in range(40)
    )  # fmt: skip

    def remembered(limit: int, *partitions: int) -> set[int]:
        found = store.recent_ids(
            [("email.delivery", number) for number in partitions], since=NOW - timedelta(days=1), limit=limit
        )
        known = {int(one): n for n, one in enumerate(hash_ids(f"e{n}" for n in range(40)))}
        return {known[int(one)] for ids in found.values() for one in ids}

    assert remembered(100, 0, 1) == set(range(40))
    assert remembered(15, 0, 1) == set(range(12)), "three seconds of four each"
    assert remembered(4, 1) == {1, 3, 5, 7}, "only those of the partition count"
    assert len(remembered(2, 0, 1)) == 2, "a second that holds more than are wanted gives some"
    assert remembered(10, 7) == set()


def test_a_new_owner_waits_for_an_insert_that_still_runs_and_ends_one_that_does_not_stop(
    db: Database, store: ClickHouseRunStore
) -> None:
    def run_for_long() -> None:
        settings = {
            "log_comment": "postloop-recorder test",
            "function_sleep_max_microseconds_per_block": 60_000_000,
        }
        with pytest.raises(Exception, match="cancel"):
            db.connect().command(
                "INSERT INTO reconcile_queue SELECT now(), now64(3), sleep(20), ''", settings=settings
            )

    thread = threading.Thread(target=run_for_long)
    thread.start()
    deadline = time.monotonic() + 10
    while not store._running_inserts() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert store._running_inserts()
    store.wait_for_inserts(timeout_s=0.3)
    assert not store._running_inserts()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_repeated_dead_letter_replaces_the_first(db: Database, store: ClickHouseRunStore) -> None:
    letter = {
        "event_id": "e", "topic": "email.send", "topic_id": "t", "partition": 0, "offset": 7, "index": -1,
        "key_base64": "", "value_base64": "YQ==", "stage": "decode", "error_code": "not_json", "errors": "[]",
        "at": NOW,
    }  # fmt: skip
    store.keep_dead_letters([letter, {**letter, "offset": 8}])
    store.keep_dead_letters([letter])
    assert db.client.query("SELECT count() FROM dead_letters FINAL").first_row[0] == 2


def test_a_run_id_names_its_day_and_nothing_else_is_one() -> None:
    assert run_day(new_run_id(NOW.date())) == NOW.date().isoformat()
    with pytest.raises(UnknownInsertError):
        run_day("2026-01-01/x' OR 1")
