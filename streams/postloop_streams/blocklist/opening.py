"""What a new owner of partitions does first: its files are brought up to date, or filled from ClickHouse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.changelog_reader import Change
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.contracts.blocklist_state import (
    ANSWER_PREFIX,
    ENTRY_PREFIX,
    GUARD_PREFIXES,
    HOLDS_PREFIX,
    PROVIDER_PREFIX,
    Restored,
    answer_from_bytes,
    entry_from_bytes,
    entry_key,
    holds_from_bytes,
    owner_of,
    provider_from_bytes,
    restored_from_bytes,
    restored_to_bytes,
    signals_from_bytes,
)
from postloop.domain.blocklist import Policy, due_ms
from postloop.domain.incident import GuardPolicy
from postloop.settings import Settings
from postloop_streams.ahead import ahead
from postloop_streams.blocklist.folding import ANSWER_MEMORY_MS, state_of
from postloop_streams.blocklist.publisher import Publisher
from postloop_streams.blocklist.watching import provider_item
from postloop_streams.blocklist.work import Outgoing
from postloop_streams.state_files import StateLog, open_files

log = structlog.stdlib.get_logger("postloop.blocklist")


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
    stores, restored = await open_files(
        numbers,
        StateLog(
            settings=world.settings,
            directory=world.directory,
            topic=world.topic,
            partitions=partitions,
            topic_ids=world.topic_ids,
            append=partial(_append, world),
            item_of=partial(_item, world),
            mark_of=lambda count: restored_to_bytes(
                Restored(partitions=partitions, entries=count, source="clickhouse")
            ),
            restored_for=lambda value: restored_from_bytes(value).partitions,
            restore=partial(_restore, world, partitions),
            refuse=world.publisher.refuse,
        ),
    )
    return {
        number: Opened(store, await asyncio.to_thread(store.count, ENTRY_PREFIX), restored[number])
        for number, store in stores.items()
    }


async def _append(world: Opening, number: int, key: str, value: bytes) -> int:
    write = partial(world.publisher.write_changelog, number, key, value)
    return int(await world.publisher.patiently(write))


def _item(world: Opening, change: Change, number: int, partitions: int) -> Item | None:
    key, value = change.key, change.value
    if not key.startswith((ENTRY_PREFIX, ANSWER_PREFIX, *GUARD_PREFIXES)):
        return None
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
    read = holds_from_bytes if key.startswith(HOLDS_PREFIX) else signals_from_bytes
    read(value)  # raises
    return Item(key, value)


async def _restore(world: Opening, partitions: int, number: int, store: PartitionStore) -> int:
    """Fill changelog, state topic and file from ClickHouse; return the number of entries."""
    count = 0
    async for outgoing, items in ahead(_prepared(world, number, partitions)):
        await world.publisher.fill(number, outgoing, items)
        await asyncio.to_thread(store.apply, items)
        count += len(items)
    guarded = await asyncio.to_thread(world.mirror.restore_guard, number, partitions)
    kept = [_guard_item(key, value, world) for key, value in guarded]
    await world.publisher.fill(number, [], kept)
    await asyncio.to_thread(store.apply, kept)
    log.info("blocklist_restored", partition=number, entries=count, source="clickhouse")
    return count


def _prepared(world: Opening, number: int, partitions: int) -> Iterator[tuple[list[Outgoing], list[Item]]]:
    """Yield pages of what ClickHouse keeps of a partition: records of the state topic, and items."""
    form = world.settings.blocklist_recipient_form
    for page in world.mirror.restore(number, partitions):
        entries = [entry_from_bytes(value) for *_, value in page]
        items = [
            Item(entry_key(entry.scope, entry.recipient), value, due_ms(entry, world.policy))
            for entry, (*_, value) in zip(entries, page, strict=True)
        ]
        yield [record for entry in entries for record in state_of(entry, form)], items
