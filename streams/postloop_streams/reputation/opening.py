"""What a new owner of partitions does first: bring its files up to date, or fill a new changelog from ClickHouse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from postloop.adapters.changelog_reader import Change
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.reputation_store import Subject
from postloop.contracts.reputation import REPUTATION_PREFIXES, kept_from_bytes
from postloop.contracts.watch_state import WATCH_PREFIXES, owner_name, scope_of_key
from postloop.settings import Settings
from postloop_streams.reputation.alerting import watch_item
from postloop_streams.reputation.deciding import key_of, owner_of, subject_of
from postloop_streams.reputation.publishing import Publisher
from postloop_streams.state_files import StateLog, open_files

log = structlog.stdlib.get_logger("postloop.reputation")

_ITEMS_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Opening:
    """What opening needs of the world.

    Attributes:
        restore: Returns (subject, state) of what a partition owns, of so many partitions; blocks.
        restore_watches: Returns (key, value) of what its watches know; blocks.
    """

    settings: Settings
    directory: Path
    topic: str
    topic_ids: Callable[[list[str]], Any]
    restore: Callable[[int, int], list[tuple[Subject, str]]]
    restore_watches: Callable[[int, int], list[tuple[str, str]]]
    publisher: Publisher


async def open_stores(
    numbers: Iterable[int], partitions: int, world: Opening
) -> tuple[dict[int, PartitionStore], int]:
    """Return the stores of some partitions, complete, and how many senders came from ClickHouse.

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
            append=world.publisher.mark,
            item_of=_item,
            mark_of=lambda _: str(partitions).encode(),
            restored_for=int,
            restore=partial(_restore, world, partitions),
            refuse=world.publisher.refuse,
        ),
    )
    return stores, sum(restored.values())


def _item(change: Change, number: int, partitions: int) -> Item | None:
    is_watch = change.key.startswith(WATCH_PREFIXES)
    if not is_watch and not change.key.startswith(REPUTATION_PREFIXES):
        return None
    name = owner_name(scope_of_key(change.key)) if is_watch else subject_of(change.key).sender_domain
    # From before the topic got more partitions: another one's by now.
    if change.value is None or owner_of(name, partitions) != number:
        return Item(change.key, None)
    if is_watch:
        return watch_item(change.key, change.value)
    kept_from_bytes(change.value)  # raises: what cannot be read at a look would end each
    return Item(change.key, change.value)


async def _restore(world: Opening, partitions: int, number: int, store: PartitionStore) -> int:
    """Fill changelog and file from ClickHouse; return how many senders it knew."""
    found = await asyncio.to_thread(world.restore, number, partitions)
    items = [Item(key_of(subject), state.encode()) for subject, state in found]
    watched = await asyncio.to_thread(world.restore_watches, number, partitions)
    items += [watch_item(key, value.encode()) for key, value in watched]
    for first in range(0, len(items), _ITEMS_AT_ONCE):
        part = items[first : first + _ITEMS_AT_ONCE]
        await world.publisher.keep(number, part)
        await asyncio.to_thread(store.apply, part)
    log.info("reputation_restored", partition=number, senders=len(found), source="clickhouse")
    return len(found)
