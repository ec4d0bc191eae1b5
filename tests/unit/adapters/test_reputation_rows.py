"""Senders are named in questions that a server still takes."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.reputation_rows import MAX_NAME_BYTES, MAX_SUBJECTS, Subject, batches


@given(sizes=st.lists(st.sampled_from([1, 30, 255, 4_000, 20_000]), max_size=60), copies=st.integers(1, 80))
def test_batches_hold_everybody_in_order_and_never_too_much(sizes: list[int], copies: int) -> None:
    subjects = [Subject("a" * size, f"{number:05}.\u00e9") for number, size in enumerate(sizes * copies)]

    found = list(batches(subjects))

    assert list(chain.from_iterable(found)) == subjects
    for batch in found:
        assert 0 < len(batch) <= MAX_SUBJECTS
        for names in ([one.account_id for one in batch], [one.sender_domain for one in batch]):
            assert sum(len(name.encode()) for name in names) <= MAX_NAME_BYTES


def test_a_batch_is_as_large_as_it_may_be() -> None:
    subjects = [Subject("acme", f"d{number:04}.example") for number in range(2 * MAX_SUBJECTS + 1)]
    assert [len(batch) for batch in batches(subjects)] == [MAX_SUBJECTS, MAX_SUBJECTS, 1]
