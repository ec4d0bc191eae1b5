"""Publishing what was decided: an intent in the changelog, then the events, then the rows, then what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import faust
import structlog

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.partition_store import Item
from postloop.adapters.reputation_store import CurrentRow, LogRow
from postloop.adapters.watch_store import WatchRow
from postloop.contracts.alert import DeliveryAlertV1
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.reputation import ReputationChangeV1
from postloop.domain.event_types import (
    DELIVERY_ALERT_TOPIC,
    REPUTATION_CHANGE_TOPIC,
    REPUTATION_CHANGELOG_TOPIC,
    prefixed,
)
from postloop_streams.dead_letters import PublishDeadLetters
from postloop_streams.patience import AbandonedError, Patience
from postloop_streams.producing import ToPublish, key_of, publish, publish_many
from postloop_streams.transport import Lease

log = structlog.stdlib.get_logger("postloop.reputation")

_PAUSE_S: Final = 1.0

Write = Callable[[Sequence[LogRow], Sequence[CurrentRow]], None]
WriteWatches = Callable[[Sequence[WatchRow]], None]


class Publisher:
    """Sends records through the app's own producer and rows to ClickHouse, until it succeeds or is stopped.

    Args:
        write: Stores rows of reputations; blocks.
        write_watches: Stores rows of watches; blocks.
        dead_letters: Publishes dead letters, acknowledged.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        lease: Lease,
        prefix: str,
        write: Write,
        write_watches: WriteWatches,
        dead_letters: PublishDeadLetters,
        health: HealthState,
    ) -> None:
        self._app = app
        self._patience = Patience(lease=lease, health=health)
        self._health = health
        self._write = write
        self._write_watches = write_watches
        self._dead_letters = dead_letters
        self._changelog = prefixed(REPUTATION_CHANGELOG_TOPIC, prefix=prefix)
        self._changes = prefixed(REPUTATION_CHANGE_TOPIC, prefix=prefix)
        self._alerts = prefixed(DELIVERY_ALERT_TOPIC, prefix=prefix)

    def stop(self) -> None:
        """Begin nothing any more."""
        self._patience.is_stopped = True

    async def keep(self, partition: int, items: Sequence[Item]) -> None:
        """Write items to the changelog; return once they are acknowledged.

        Raises:
            AbandonedError: The worker stops meanwhile; so for every method.
        """
        records = [self._change(partition, item.key, item.value) for item in items]
        await self._patience(partial(publish_many, self._app, records))

    async def refuse(self, letters: Sequence[DeadLetterV1]) -> None:
        """Publish dead letters; return once they are acknowledged."""
        await self._patience(lambda: self._dead_letters(letters))

    async def mark(self, partition: int, key: str, value: bytes) -> int:
        """Append one record to the changelog and return its offset."""
        (answer,) = await self._patience(partial(publish, self._app, [self._change(partition, key, value)]))
        return int(answer.offset)

    async def tell(self, changes: Sequence[ReputationChangeV1]) -> None:
        """Publish changes by their sender domains; return once they are acknowledged."""
        records = [
            ToPublish(self._changes, key_of(change.sender_domain), change.to_bytes()) for change in changes
        ]
        await self._patience(partial(publish_many, self._app, records))

    async def tell_alerts(self, alerts: Sequence[DeliveryAlertV1]) -> None:
        """Publish alerts by their subjects; return once they are acknowledged."""
        records = [ToPublish(self._alerts, key_of(alert.key), alert.to_bytes()) for alert in alerts]
        await self._patience(partial(publish_many, self._app, records))

    async def store(self, changes: Sequence[LogRow], rows: Sequence[CurrentRow]) -> None:
        """Store rows of reputations; return once ClickHouse has them."""
        await self._patience(partial(self._stored, partial(self._write, changes, rows)))

    async def store_watches(self, rows: Sequence[WatchRow]) -> None:
        """Store rows of watches; return once ClickHouse has them."""
        await self._patience(partial(self._stored, partial(self._write_watches, rows)))

    async def _stored(self, write: Callable[[], None]) -> None:
        while not self._patience.is_stopped:
            try:
                await asyncio.to_thread(write)
            except (UnavailableError, RefusedError) as error:
                log.warning("sink_unavailable", reason=str(error))
                self._health.set("clickhouse", False, str(error))
                self._health.beat()
                await asyncio.sleep(_PAUSE_S)
            else:
                self._health.set("clickhouse", True)
                return
        raise AbandonedError("the worker stops")

    def _change(self, partition: int, key: str, value: bytes | None) -> ToPublish:
        return ToPublish(self._changelog, key_of(key), value, partition)
