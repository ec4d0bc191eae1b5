"""The local state of a partition."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.sqlite_file import StoreError

_keys = st.sampled_from(["e|a", "e|b", "a|1", "e|c"])
_items = st.builds(Item, _keys, st.none() | st.binary(max_size=4), st.none() | st.integers(0, 100))


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartitionStore]:
    with PartitionStore(tmp_path_factory.mktemp("store") / "0.sqlite") as store:
        yield store


@given(batches=st.lists(st.lists(_items, max_size=4, unique_by=lambda item: item.key), max_size=5))
def test_a_store_holds_the_last_word_on_every_key(opened: PartitionStore, batches: list[list[Item]]) -> None:
    expected: dict[str, tuple[bytes, int | None]] = {}
    store = opened
    store.clear()
    for batch in batches:
        store.apply(batch)
        for item in batch:
            if item.value is None:
                expected.pop(item.key, None)
            else:
                expected[item.key] = (item.value, item.due_ms)

    assert store.get(["e|a", "e|b", "e|c", "a|1", "none"]) == {k: v for k, (v, _) in expected.items()}
    due = sorted((due_ms, k) for k, (_, due_ms) in expected.items() if due_ms is not None and due_ms <= 50)
    found = store.due(50, limit=10)
    assert sorted(key for key, _ in found) == sorted(k for _, k in due)
    assert [d for d, _ in due] == [expected[key][1] for key, _ in found]
    assert store.count("e|") == sum(key.startswith("e|") for key in expected)


def test_what_was_applied_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "0.sqlite"
    with PartitionStore(path) as store:
        store.apply([Item("e|a", b"1", 7)], position=42)
    with PartitionStore(path) as store:
        assert store.get(["e|a"]) == {"e|a": b"1"}
        assert store.about("position") == "42"
        assert store.next_due_ms() == 7
        store.clear()
        assert (store.get(["e|a"]), store.about("position"), store.next_due_ms()) == ({}, "", None)


def test_a_file_that_is_no_store_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "0.sqlite"
    path.write_bytes(b"this is not a database, and long enough to be looked at" * 100)
    with PartitionStore(path) as store:
        store.apply([Item("e|a", b"1")])
        assert store.get(["e|a"]) == {"e|a": b"1"}


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        PartitionStore(tmp_path / "file" / "0.sqlite")


def test_a_file_is_closed_when_the_call_under_way_has_ended(tmp_path: Path) -> None:
    """Without taking turns this ends the process with a segmentation fault."""
    for number in range(10):
        store = PartitionStore(tmp_path / f"{number}.sqlite")
        store.apply([Item(f"e|{n}", b"x" * 200, n) for n in range(2_000)])
        begun, ends = threading.Event(), list[str]()

        def read(
            store: PartitionStore = store, begun: threading.Event = begun, ends: list[str] = ends
        ) -> None:
            try:
                while True:
                    assert len(store.due(2_000, limit=2_000)) == 2_000
                    begun.set()
            except StoreError as error:
                ends.append(str(error))

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(5)
        store.close()
        reader.join(5)
        assert ends == [f"{tmp_path / f'{number}.sqlite'} is closed"]
