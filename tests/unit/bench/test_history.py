"""What is stored before a run looks real, and never like a record of the run."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from bench import history
from bench.history import INSERT_ROWS, TOPIC_ID, History, insert_sql, inserts, seed_rows
from bench.workload import MIX, NOTHING, Counts, Plan, generate
from hypothesis import given
from hypothesis import strategies as st

END_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
PAST = History(row_count=1_200_000, end_at=END_AT, partition_count=3, domain_count=7)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_SEED_COUNT", 400)


@given(st.integers(1, 10**8))
def test_inserts_cover_every_row_once(row_count: int) -> None:
    found = inserts(row_count)
    assert found[0][0] == 0
    assert all(first + count == following for (first, count), (following, _) in pairwise(found))
    assert sum(count for _, count in found) == row_count
    assert all(0 < count <= INSERT_ROWS for _, count in found)


@pytest.mark.usefixtures("few")
def test_seeds_are_rows_as_the_recorder_stores_them_numbered_by_offset() -> None:
    rows = seed_rows(PAST).to_pylist()
    assert sorted(row["offset"] for row in rows) == list(range(400))
    assert {row["event_type"] for row in rows} <= set(MIX)
    assert {row["topic"] for row in rows} == {f"email.{row['event_type']}" for row in rows}
    assert {row["partition"] for row in rows} == {0, 1, 2}
    assert {row["topic_id"] for row in rows} == {TOPIC_ID}
    assert all(row["outcome"] and row["mailbox_provider"] for row in rows)


@pytest.mark.usefixtures("few")
def test_an_insert_names_every_column_once_and_takes_ids_and_times_from_the_number() -> None:
    seeds = seed_rows(PAST)
    sql = insert_sql(PAST, seeds, first=500_000, count=500_000)
    names = re.findall(r"`(\w+)`", sql.partition(" SELECT ")[0])
    assert sorted(names) == sorted([*seeds.column_names, "run_id"])
    assert "numbers(500000, 500000)" in sql
    for name in ("event_id", "occurred_at", "record_at", "stored_at"):
        assert f"seed.`{name}`" not in sql


def test_no_id_of_the_workload_begins_as_a_stored_one_does() -> None:
    for record in generate(Plan(event_count=200, start_at=END_AT, invalid_share=0.0)):
        event = json.loads(record.value)
        assert not event["event_id"].startswith("p")
        assert not event["message_id"].startswith("p")


def test_rows_are_spread_evenly_over_the_days() -> None:
    assert PAST.rows_within(timedelta(days=1)) == 400_000
    assert PAST.rows_within(timedelta(days=30)) == 1_200_000


@given(
    st.builds(
        Counts, **dict.fromkeys(("rows", "dead_letters", "rollup_events", "unique_opens"), st.integers(0))
    )
)
def test_nothing_stored_changes_no_count(counts: Counts) -> None:
    assert counts + NOTHING == NOTHING + counts == counts
    assert (counts + counts).rows == 2 * counts.rows
