"""Files of a role's state, one a partition: brought up to date from the role's changelog, or filled from ClickHouse.

State is never silently empty: a partition is not opened before its changelog was read to the end, and a changelog
without the mark that says it is whole is filled from ClickHouse first.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from postloop.adapters.changelog_reader import Change, read_changelog
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.changelog import MARKER_KEY, RESTORED_KEY
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.unreadable import READING_ERRORS
from postloop.settings import Settings
from postloop_streams.dead_letters import PublishDeadLetters, unreadable

_log = structlog.stdlib.get_logger("postloop.state")

# A compacted topic forgets that something was deleted after `delete.retention.ms`, a day by default: an older file
# would not hear of it.
FRESH_S: Final = 12 * 3600.0


@dataclass(frozen=True)
class StateLog:
    """A changelog, and what its records mean.

    Attributes:
        directory: Of the files.
        topic: With its prefix.
        partitions: Of the topic.
        append: Appends a record to a partition and returns its offset, patiently.
        item_of: (record, partition, partitions) -> what the file keeps of it; None: nothing.
        mark_of: How many entries were restored -> the value of the mark that the partition is whole.
        restored_for: The value of a mark -> for how many partitions it is whole.
        restore: (partition, store) -> fills changelog and file from ClickHouse; returns how many entries.
        refuse: Publishes dead letters of records that were not written by us, patiently.
    """

    settings: Settings
    directory: Path
    topic: str
    partitions: int
    topic_ids: Callable[[list[str]], Any]
    append: Callable[[int, str, bytes], Awaitable[int]]
    item_of: Callable[[Change, int, int], Item | None]
    mark_of: Callable[[int], bytes]
    restored_for: Callable[[bytes], int]
    restore: Callable[[int, PartitionStore], Awaitable[int]]
    refuse: PublishDeadLetters


async def open_files(
    numbers: Iterable[int], log: StateLog
) -> tuple[dict[int, PartitionStore], dict[int, int]]:
    """Return the stores of some partitions, complete, and how many entries each got from ClickHouse.

    Raises:
        UnavailableError, RefusedError: The broker or ClickHouse cannot be asked.
        AbandonedError: The worker stops meanwhile.
    """
    ids = await asyncio.to_thread(log.topic_ids, [log.topic])
    identity = f"{ids.get(log.topic, '')}/{log.partitions}"
    stores: dict[int, PartitionStore] = {}
    try:
        for number in numbers:
            path = log.directory / f"{number}.sqlite"
            stores[number] = await asyncio.to_thread(_open, path, identity)
        await _read(stores, log)
        return stores, {number: await _made_whole(number, store, log) for number, store in stores.items()}
    except BaseException:
        for store in stores.values():
            store.close()
        raise


def _open(path: Path, identity: str) -> PartitionStore:
    store = PartitionStore(path)
    is_fresh = time.time() - float(store.about("read_at_s") or 0) <= FRESH_S
    if store.about("identity") != identity or not is_fresh:
        store.clear()
        store.apply([], identity=identity)
    return store


async def _read(stores: dict[int, PartitionStore], log: StateLog) -> None:
    """Read the changelog up to a marker of our own: a broker's word on the end of a log is not relied on."""
    marker = uuid.uuid4().hex.encode()
    ranges = {
        number: (int(store.about("position") or 0), await log.append(number, MARKER_KEY, marker))
        for number, store in stores.items()
    }
    refused: list[DeadLetterV1] = []

    def take(number: int, changes: list[Change]) -> None:
        refused.extend(_take(stores[number], number, changes, log))

    await asyncio.to_thread(read_changelog, log.settings, log.topic, ranges, take)
    if refused:
        await log.refuse(refused)


def _take(store: PartitionStore, number: int, changes: list[Change], log: StateLog) -> list[DeadLetterV1]:
    """Write a stretch of the changelog into the file; return the dead letters of what cannot be read.

    What was known of its key before stays in the file: no foreign record ends a role, or takes its state away.
    """
    items: dict[str, Item] = {}
    about: dict[str, object] = {}
    refused: list[DeadLetterV1] = []
    for change in changes:
        try:
            if change.key == RESTORED_KEY and change.value is not None:
                about["restored_for"] = log.restored_for(change.value)
            elif (item := log.item_of(change, number, log.partitions)) is not None:
                items[change.key] = item.checked()
        except READING_ERRORS as error:
            _log.error("changelog_unreadable", offset=change.offset)
            refused.append(unreadable(ChangeRecord(log.topic, number, change), error))
    store.apply(items.values(), position=changes[-1].offset + 1, read_at_s=time.time(), **about)
    return refused


class ChangeRecord:
    """A change as the record that it was."""

    def __init__(self, topic: str, partition: int, change: Change) -> None:
        self.topic, self.partition, self.offset = topic, partition, change.offset
        self.key: bytes | None = change.key.encode()
        self.value = change.value


async def _made_whole(number: int, store: PartitionStore, log: StateLog) -> int:
    """Fill a partition from ClickHouse when its changelog was never whole for so many partitions; return how many."""
    if store.about("restored_for") == str(log.partitions):
        return 0
    count = await log.restore(number, store)
    await log.append(number, RESTORED_KEY, log.mark_of(count))
    await asyncio.to_thread(store.apply, [], restored_for=log.partitions, read_at_s=time.time())
    return count
