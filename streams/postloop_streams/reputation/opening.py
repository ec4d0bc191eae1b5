"""What a new owner of partitions does first: bring its files up to date, or fill a new changelog from ClickHouse."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from postloop.adapters.changelog_reader import Change, read_changelog
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.reputation_store import Subject
from postloop.contracts.reputation import KEY_PREFIX, MARKER_KEY, RESTORED_KEY, split_key, state_key
from postloop.settings import Settings
from postloop_streams.reputation.deciding import owner_of
from postloop_streams.reputation.publishing import Publisher

log = structlog.stdlib.get_logger("postloop.reputation")

# A compacted topic forgets that something was deleted after a day by default; so does a file that is as old.
_FRESH_S: Final = 12 * 3600.0
_ITEMS_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Opening:
    """What opening needs of the world.

    Attributes:
        restore: Returns (subject, state) of what a partition owns, of so many partitions; blocks.
    """

    settings: Settings
    directory: Path
    topic: str
    topic_ids: Callable[[list[str]], Any]
    restore: Callable[[int, int], list[tuple[Subject, str]]]
    publisher: Publisher


async def open_stores(
    numbers: Iterable[int], partitions: int, world: Opening
) -> tuple[dict[int, PartitionStore], int]:
    """Return the stores of some partitions, complete, and how many senders came from ClickHouse.

    Raises:
        UnavailableError, RefusedError: The broker or ClickHouse cannot be asked.
    """
    ids = await asyncio.to_thread(world.topic_ids, [world.topic])
    identity = f"{ids.get(world.topic, '')}/{partitions}"
    stores: dict[int, PartitionStore] = {}
    try:
        ranges = {}
        for number in numbers:
            stores[number] = await asyncio.to_thread(_open, world.directory / f"{number}.sqlite", identity)
            last = await world.publisher.mark(number, MARKER_KEY, uuid.uuid4().hex.encode())
            ranges[number] = (int(stores[number].about("position") or 0), last)
        await asyncio.to_thread(
            read_changelog,
            world.settings,
            world.topic,
            ranges,
            lambda number, changes: _take(stores[number], number, partitions, changes),
        )
        restored = [await _whole(number, partitions, store, world) for number, store in stores.items()]
    except BaseException:
        for store in stores.values():
            store.close()
        raise
    return stores, sum(restored)


def _open(path: Path, identity: str) -> PartitionStore:
    store = PartitionStore(path)
    is_fresh = time.time() - float(store.about("read_at_s") or 0) <= _FRESH_S
    if store.about("identity") != identity or not is_fresh:
        store.clear()
        store.apply([], identity=identity)
    return store


def _take(store: PartitionStore, number: int, partitions: int, changes: list[Change]) -> None:
    """Write a stretch of the changelog into the file."""
    items: dict[str, Item] = {}
    about: dict[str, object] = {}
    for change in changes:
        if change.key == RESTORED_KEY and change.value is not None:
            about["restored_for"] = change.value.decode()
        elif change.key.startswith(KEY_PREFIX):
            # From before the topic got more partitions: another one's by now.
            is_mine = owner_of(split_key(change.key)[1], partitions) == number
            items[change.key] = Item(change.key, change.value if is_mine else None)
    store.apply(items.values(), position=changes[-1].offset + 1, read_at_s=time.time(), **about)


async def _whole(number: int, partitions: int, store: PartitionStore, world: Opening) -> int:
    """Fill changelog and file from ClickHouse when they were never whole for so many partitions; return how many."""
    if store.about("restored_for") == str(partitions):
        return 0
    found = await asyncio.to_thread(world.restore, number, partitions)
    items = [
        Item(state_key(s.account_id, s.sender_domain, s.mailbox_provider), state.encode())
        for s, state in found
    ]
    for first in range(0, len(items), _ITEMS_AT_ONCE):
        part = items[first : first + _ITEMS_AT_ONCE]
        await world.publisher.keep(number, part)
        await asyncio.to_thread(store.apply, part)
    await world.publisher.mark(number, RESTORED_KEY, str(partitions).encode())
    await asyncio.to_thread(store.apply, [], restored_for=partitions, read_at_s=time.time())
    log.info("reputation_restored", partition=number, senders=len(items), source="clickhouse")
    return len(items)
