"""The file of a partition's state, brought up to date from a changelog that anybody may have written to."""

from __future__ import annotations

import json
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


HUGE = 10**17
EVIDENCE = {"kind": "hard", "at_ms": 1, "account_id": "a", "reason": "user_unknown", "event_id": "e"}
REPORTED = {
    "type": "reported",
    "scope": "global",
    "recipient": "a@b.test",
    "provider": "other",
    "evidence": EVIDENCE,
}
DELIVERED = {"type": "delivered", "recipient": "a@b.test", "event_id": "1234567890123456789", "at_ms": 1}
ORDERED = {
    "type": "ordered",
    "scope": "global",
    "recipient": "a@b.test",
    "command_id": "c",
    "command": "block",
    "actor_kind": "operator",
    "actor_id": "x",
    "reason": "r",
    "requested_ms": 1,
    "until_ms": 2,
}
COUNTED = {"type": "counted", "provider": "gmail", "minute_ms": 1, "parts": [["a", "b", 1, 1]]}
BEGAN = {"type": "hold_began", "provider": "gmail", "incident_id": "i", "started_ms": 1}
ENDED = {**BEGAN, "type": "hold_ended", "until_ms": 2, "verdict": "release"}


@pytest.mark.parametrize(
    ("signal", "changed"),
    [
        (REPORTED, {"evidence": {**EVIDENCE, "at_ms": HUGE}}),
        (REPORTED, {"evidence": {**EVIDENCE, "until_ms": -HUGE}}),
        (DELIVERED, {"at_ms": HUGE}),
        (DELIVERED, {"at_ms": 10**30}),
        (ORDERED, {"requested_ms": -HUGE}),
        (ORDERED, {"until_ms": HUGE}),
        (COUNTED, {"minute_ms": HUGE}),
        (COUNTED, {"parts": [["a", "b", 1, 1], ["a", "c", 1, HUGE]]}),
        (BEGAN, {"started_ms": HUGE}),
        (ENDED, {"until_ms": HUGE}),
    ],
)
def test_a_signal_with_a_number_that_no_file_holds_is_none(
    signal: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert len(signals_from_bytes(json.dumps([signal]).encode())) == 1
    with pytest.raises(DataError):
        signals_from_bytes(json.dumps([signal, {**signal, **changed}]).encode())
