"""What a new owner of partitions does first: bring the files of their queues up to date.

docs/decisions/0009-webhooks-queue.md tells why: the changelog has what waits, the delivery topic what is fresh, the
file what a broker that came back empty has forgotten.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from postloop.adapters.changelog_reader import Change, read_changelog
from postloop.adapters.webhook_queue import WebhookQueue
from postloop.adapters.webhook_queue_changelog import QueueChangelog
from postloop.contracts.changelog import MARKER_KEY
from postloop.contracts.deadletter import DeadLetterV1
from postloop.settings import Settings
from postloop_streams.dead_letters import PublishDeadLetters, unreadable
from postloop_streams.patience import Patience
from postloop_streams.state_files import FRESH_S, ChangeRecord

log = structlog.stdlib.get_logger("postloop.webhooks")


@dataclass(frozen=True)
class Opening:
    """What opening needs of the world.

    Attributes:
        topics: Delivery topic and changelog, with their prefix.
        topic_ids: Name of a topic -> the id that its broker gave it; blocks.
        write: Appends to a partition of the changelog and returns the offset.
        refuse: Publishes dead letters.
    """

    settings: Settings
    directory: Path
    topics: tuple[str, str]
    topic_ids: Callable[[list[str]], Mapping[str, str]]
    write: Callable[[int, str, bytes], Awaitable[int]]
    refuse: PublishDeadLetters
    patience: Patience


async def open_queues(committed: Mapping[int, int], world: Opening) -> dict[int, WebhookQueue]:
    """Return the queues of some partitions, up to date.

    Args:
        committed: Partition -> the place in the delivery topic before which another owner settled everything.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked.
        StoreError: A file cannot be made.
        AbandonedError: The worker stops meanwhile.
    """
    ids = await asyncio.to_thread(world.topic_ids, list(world.topics))
    identity = "/".join(ids.get(name, "") for name in world.topics)
    queues: dict[int, WebhookQueue] = {}
    try:
        for number in committed:
            queues[number] = await asyncio.to_thread(_open, world, number, identity)
        await _read(queues, world)
        for number, queue in queues.items():
            await asyncio.to_thread(QueueChangelog(queue.file).drop_settled, committed[number])
    except BaseException:
        for queue in queues.values():
            queue.close()
        raise
    return queues


async def _read(queues: Mapping[int, WebhookQueue], world: Opening) -> None:
    marker = uuid.uuid4().hex.encode()
    ranges = {}
    for number, queue in queues.items():
        last = await world.patience(partial(world.write, number, MARKER_KEY, marker))
        ranges[number] = (int(queue.file.about("log_position") or 0), last)

    letters: list[DeadLetterV1] = []

    def take(number: int, changes: list[Change]) -> None:
        refused = QueueChangelog(queues[number].file).restore(
            [(change.key, change.value) for change in changes],
            log_position=changes[-1].offset + 1,
            read_at_s=time.time(),
        )
        for place, error in refused:
            log.error("changelog_unreadable", offset=changes[place].offset)
            letters.append(unreadable(ChangeRecord(world.topics[1], number, changes[place]), error))

    await asyncio.to_thread(read_changelog, world.settings, world.topics[1], ranges, take)
    if letters:
        await world.patience(lambda: world.refuse(letters))


def _open(world: Opening, number: int, identity: str) -> WebhookQueue:
    """Return the queue of a partition as its file knows it."""
    path = world.directory / f"{number}.sqlite"
    queue = WebhookQueue(path)
    known, read_at_s = queue.file.about("identity"), float(queue.file.about("read_at_s") or 0)
    if known and known != identity:
        count = QueueChangelog(queue.file).adopt()
        log.warning("queue_adopted", partition=number, rows=count, reason="the topics are new")
        note(queue, identity=identity, log_position=0, read_at_s=time.time())
    elif known and time.time() - read_at_s > FRESH_S:
        queue.close()
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            file.unlink(missing_ok=True)
        queue = WebhookQueue(path)
    note(queue, identity=identity)
    return queue


def note(queue: WebhookQueue, **about: Any) -> None:
    """Write notes about a file."""
    with queue.file.writing() as cursor:
        queue.file.note(cursor, **about)
