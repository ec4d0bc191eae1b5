"""The file of a partition's state, brought up to date from a changelog that anybody may have written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from postloop.adapters.changelog_reader import Change
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.blocklist_state import signals_from_bytes
from postloop.domain.blocklist import DEFAULT_POLICY
from postloop.domain.errors import DataError
from postloop.domain.incident import DEFAULT_GUARD_POLICY
from postloop_streams.blocklist import opening as blocklist_opening
from postloop_streams.reputation import opening as reputation_opening
from postloop_streams.state_files import StateLog, _take

FOREIGN = [b"", b"null", b"[]", b"5", b"NaN", b"[" * 50_000, b"\xff", b'{"a":1}']
BLOCKLIST_KEYS = ["e|global|a@b.test", "a|c1", "h|gmail|global|a@b.test", "g|gmail", "p|gmail", "restored"]
REPUTATION_KEYS = [
    '["acme","b.test",null]',
    '["acme","b.test"]',
    'd|["acme","b.test",null]',
    's|["acme","b.test",null,"open"]',
    "d|x",
    "s|[]",
]


def log_of(
    item_of: Callable[[Change, int, int], Item | None], restored_for: Callable[[bytes], int]
) -> StateLog:
    nothing: Any = None
    return StateLog(
        settings=nothing,
        directory=Path(),
        topic="changelog",
        partitions=1,
        topic_ids=nothing,
        append=nothing,
        item_of=item_of,
        mark_of=nothing,
        restored_for=restored_for,
        restore=nothing,
        refuse=nothing,
    )


def of_blocklist() -> StateLog:
    world = cast(Any, type("World", (), {"policy": DEFAULT_POLICY, "guard": DEFAULT_GUARD_POLICY}))
    return log_of(
        lambda change, number, partitions: blocklist_opening._item(world, change, number, partitions),
        lambda value: blocklist_opening.restored_from_bytes(value).partitions,
    )


def of_reputation() -> StateLog:
    return log_of(reputation_opening._item, int)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with PartitionStore(tmp_path / "0.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("value", FOREIGN)
@pytest.mark.parametrize("key", BLOCKLIST_KEYS)
def test_a_foreign_record_of_the_blocklist_is_a_dead_letter_and_takes_nothing_away(
    store: PartitionStore, key: str, value: bytes
) -> None:
    store.apply([Item(key, b"known before")])
    letters = _take(store, 0, [Change(4, key, value)], of_blocklist())
    kept = store.get([key])
    if key.startswith("h|") and value == b"[]":
        assert not letters  # of nothing that was held nothing is held
        return
    assert [(letter.topic, letter.offset, letter.value) for letter in letters] == [("changelog", 4, value)]
    assert kept == {key: b"known before"}
    assert store.about("position") == "5"


@pytest.mark.parametrize("value", FOREIGN)
@pytest.mark.parametrize("key", REPUTATION_KEYS)
def test_a_foreign_record_of_the_reputation_is_never_kept(
    store: PartitionStore, key: str, value: bytes
) -> None:
    _take(store, 0, [Change(4, key, value)], of_reputation())
    assert store.get([key]) == {}
    assert store.about("position") == "5"


def test_an_entry_that_ends_at_no_time_of_a_file_is_a_dead_letter(store: PartitionStore) -> None:
    log = log_of(lambda change, *_: Item(change.key, change.value, 10**30), int)
    letters = _take(store, 0, [Change(4, "e|x|y", b"{}")], log)
    assert len(letters) == 1
    assert store.count("e|") == 0


@pytest.mark.parametrize("number", ["9007199254740993", "-99999999999999999999", "1e30"])
def test_a_signal_with_a_number_that_no_file_holds_is_none(number: str) -> None:
    value = b'[{"type":"delivered","recipient":"a@b.test","event_id":"1234567890123456","at_ms":%s}]'
    assert signals_from_bytes(value % b"1795780000000")
    with pytest.raises(DataError):
        signals_from_bytes(value % number.encode())
