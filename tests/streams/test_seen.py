"""The memory of seen ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop_streams.recorder.seen import HashTable, SeenIds, hash_ids

hashes = st.lists(st.integers(min_value=1, max_value=2**64 - 1) | st.integers(1, 20), max_size=60)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


@given(st.lists(hashes, max_size=8), hashes)
def test_a_table_contains_exactly_what_was_added(batches: list[list[int]], asked: list[int]) -> None:
    table, model = HashTable(), set[int]()
    for batch in batches:
        table.add(array(batch))
        model |= set(batch)
    assert table.contains(array(asked)).tolist() == [h in model for h in asked]
    assert len(table) == len(model)


def test_a_table_grows_beyond_its_first_size_and_keeps_everything() -> None:
    table, many = HashTable(), np.arange(1, 50_001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    table.add(many)
    assert table.contains(many).all() and len(table) == 50_000


@given(st.lists(hashes, max_size=8))
def test_of_equal_ids_the_first_is_new_and_no_other(batches: list[list[int]]) -> None:
    seen, model = SeenIds(max_ids=10_000, window_s=1e9, now_s=0), set[int]()
    for batch in batches:
        expected = []
        for h in batch:
            expected.append(h not in model)
            model.add(h)
        assert seen.first_of_each(array(batch), now_s=0).tolist() == expected


@given(st.integers(2, 60), st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_no_more_ids_are_remembered_than_allowed_plus_what_two_batches_overshoot(
    max_ids: int, batch_sizes: list[int]
) -> None:
    seen, next_id, largest = SeenIds(max_ids=max_ids, window_s=1e9, now_s=0), 1, 1
    for size in batch_sizes:
        seen.first_of_each(np.arange(next_id, next_id + size, dtype=np.uint64), now_s=0)
        next_id, largest = next_id + size, max(largest, size)
        # Each generation is closed when half is reached, which the batch that reaches it may overshoot.
        assert len(seen) <= max_ids + 2 * (largest - 1)


@given(st.integers(2, 40))
def test_ids_that_come_one_by_one_are_never_more_than_allowed_and_more_than_half_of_that(
    max_ids: int,
) -> None:
    seen = SeenIds(max_ids=max_ids, window_s=1e9, now_s=0)
    for h in range(1, 5 * max_ids):
        seen.first_of_each(array([h]), now_s=0)
        assert min(h, max_ids // 2 + 1) <= len(seen) <= max_ids


def test_an_id_is_remembered_for_the_window_and_forgotten_after_two() -> None:
    seen = SeenIds(max_ids=1000, window_s=10, now_s=0)
    seen.first_of_each(array([7]), now_s=0)
    assert seen.contains(array([7]))[0]
    seen.first_of_each(array([8]), now_s=10)
    assert seen.contains(array([7]))[0]
    seen.first_of_each(array([9]), now_s=20)
    assert not seen.contains(array([7]))[0]
    assert seen.contains(array([8]))[0]


@pytest.mark.parametrize(
    ("event_id", "expected"),
    # Computed by ClickHouse: SELECT xxHash64('...')
    [("", 0xEF46DB3751D8E999), ("a", 0xD24EC4F1A98C6E5B), ("a-b-c", 15538068551924089521)],
)
def test_the_hash_is_the_one_that_clickhouse_computes(event_id: str, expected: int) -> None:
    value = int(hash_ids([event_id])[0])
    assert value == expected
