"""What a new owner of partitions does first: bring its files up to date, and fill an empty changelog from ClickHouse.

The list is never silently empty: a partition is not opened before its changelog was read to the end, and a changelog
without the mark that says it is whole is filled from ClickHouse first.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.changelog_reader import Change, read_changelog
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.blocklist_state import (
    ANSWER_PREFIX,
    ENTRY_PREFIX,
    GUARD_PREFIXES,
    HOLDS_PREFIX,
    MARKER_KEY,
    PROVIDER_PREFIX,
    RESTORED_KEY,
    Restored,
    answer_from_bytes,
    entry_from_bytes,
    entry_key,
    owner_of,
    provider_from_bytes,
    restored_from_bytes,
    restored_to_bytes,
)
from postloop.domain.blocklist import Policy, due_ms
from postloop.domain.incident import GuardPolicy
from postloop.settings import Settings
from postloop_streams.blocklist.folding import ANSWER_MEMORY_MS, state_of
from postloop_streams.blocklist.publisher import Publisher
from postloop_streams.blocklist.watching import provider_item

log = structlog.stdlib.get_logger("postloop.blocklist")

# A compacted topic forgets that something was deleted after `delete.retention.ms`, a day by default: an older file
# would not hear of it.
_FRESH_S: Final = 12 * 3600.0


class Mirror(Protocol):
    """The entries as ClickHouse keeps them."""

    def restore(self, partition: int, partitions: int) -> Iterator[list[tuple[str, str, int, bytes]]]:
        """Yield pages of (scope, recipient, version, value) of the entries that a partition owns."""
        ...

    def restore_guard(self, partition: int, partitions: int) -> list[tuple[str, bytes]]:
        """Return (key, value) of what the incident guard keeps in a partition."""
        ...


@dataclass(frozen=True)
class Opening:
    """What opening needs of the world."""

    settings: Settings
    directory: Path
    topic: str
    topic_ids: Callable[[list[str]], Any]
    mirror: Mirror
    publisher: Publisher
    policy: Policy
    guard: GuardPolicy


@dataclass(frozen=True)
class Opened:
    """An open partition, and how it came to its entries."""

    store: PartitionStore
    entries: int
    restored: int


async def open_stores(numbers: Iterable[int], partitions: int, world: Opening) -> dict[int, Opened]:
    """Return the stores of some partitions, complete.

    Raises:
        UnavailableError, RefusedError: The broker or ClickHouse cannot be asked.
    """
    ids = await asyncio.to_thread(world.topic_ids, [world.topic])
    identity = f"{ids.get(world.topic, '')}/{partitions}"
    stores = {number: await asyncio.to_thread(_open, world, number, identity) for number in numbers}
    try:
        marker = uuid.uuid4().hex.encode()
        ranges = {}
        for number, store in stores.items():
            last = await world.publisher.patiently(
                partial(world.publisher.write_changelog, number, MARKER_KEY, marker)
            )
            ranges[number] = (int(store.about("position") or 0), last)
        await asyncio.to_thread(
            read_changelog,
            world.settings,
            world.topic,
            ranges,
            lambda number, changes: _take(stores[number], number, partitions, changes, world),
        )
        return {number: await _whole(number, partitions, store, world) for number, store in stores.items()}
    except BaseException:
        for store in stores.values():
            store.close()
        raise


def _open(world: Opening, number: int, identity: str) -> PartitionStore:
    store = PartitionStore(world.directory / f"{number}.sqlite")
    read_at_s = float(store.about("read_at_s") or 0)
    if store.about("identity") != identity or time.time() - read_at_s > _FRESH_S:
        store.clear()
        store.apply([], identity=identity)
    return store


def _take(store: PartitionStore, number: int, partitions: int, changes: list[Change], world: Opening) -> None:
    """Write a stretch of the changelog into the file."""
    items: dict[str, Item] = {}
    about: dict[str, object] = {}
    for change in changes:
        if change.key == RESTORED_KEY and change.value is not None:
            about["restored_for"] = restored_from_bytes(change.value).partitions
        elif change.key.startswith((ENTRY_PREFIX, ANSWER_PREFIX, *GUARD_PREFIXES)):
            items[change.key] = _item(change, number, partitions, world)
    store.apply(items.values(), position=changes[-1].offset + 1, read_at_s=time.time(), **about)


def _item(change: Change, number: int, partitions: int, world: Opening) -> Item:
    key, value = change.key, change.value
    if value is None:
        return Item(key, None)
    if key.startswith(ANSWER_PREFIX):
        return Item(key, value, answer_from_bytes(value).answered_ms + ANSWER_MEMORY_MS)
    if not key.startswith(HOLDS_PREFIX) and recipient_hash(owner_of(key)) % partitions != number:
        return Item(key, None)  # from before the topic got more partitions
    if key.startswith(ENTRY_PREFIX):
        return Item(key, value, due_ms(entry_from_bytes(value), world.policy))
    return _guard_item(key, value, world)


def _guard_item(key: str, value: bytes, world: Opening) -> Item:
    if key.startswith(PROVIDER_PREFIX):
        return provider_item(provider_from_bytes(value), world.guard)
    return Item(key, value)


async def _whole(number: int, partitions: int, store: PartitionStore, world: Opening) -> Opened:
    """Return the open partition, filled from ClickHouse when its changelog was never whole for this many partitions."""
    restored = 0
    if store.about("restored_for") != str(partitions):
        restored = await _restore(number, partitions, store, world)
        log.info("blocklist_restored", partition=number, entries=restored, source="clickhouse")
    entries = await asyncio.to_thread(store.count, ENTRY_PREFIX)
    return Opened(store, entries, restored)


async def _restore(number: int, partitions: int, store: PartitionStore, world: Opening) -> int:
    """Fill changelog, state topic and file from ClickHouse; return the number of entries."""
    pages, count = world.mirror.restore(number, partitions), 0
    while page := await asyncio.to_thread(next, pages, None):
        entries = [entry_from_bytes(value) for *_, value in page]
        form = world.settings.blocklist_recipient_form
        outgoing = [record for entry in entries for record in state_of(entry, form)]
        items = [
            Item(entry_key(entry.scope, entry.recipient), value, due_ms(entry, world.policy))
            for entry, (*_, value) in zip(entries, page, strict=True)
        ]
        await world.publisher.patiently(partial(world.publisher.fill, number, outgoing, items))
        await asyncio.to_thread(store.apply, items)
        count += len(items)
    guarded = await asyncio.to_thread(world.mirror.restore_guard, number, partitions)
    kept = [_guard_item(key, value, world) for key, value in guarded]
    await world.publisher.patiently(partial(world.publisher.fill, number, [], kept))
    await asyncio.to_thread(store.apply, kept)
    mark = restored_to_bytes(Restored(partitions=partitions, entries=count, source="clickhouse"))
    await world.publisher.patiently(partial(world.publisher.write_changelog, number, RESTORED_KEY, mark))
    await asyncio.to_thread(store.apply, [], restored_for=partitions, read_at_s=time.time())
    return count
