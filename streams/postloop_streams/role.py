"""What every role is made of: a Faust app with its consumer group, its lease, its health and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP
from prometheus_client import CollectorRegistry, Counter

from postloop.adapters import topic_admin
from postloop.adapters.errors import UnavailableError
from postloop.adapters.health_server import HealthServer, HealthState
from postloop.contracts.deadletter import DeadLetterV1
from postloop.domain.event_types import DEADLETTER_TOPIC, prefixed
from postloop.settings import Settings
from postloop_streams.app import create_app
from postloop_streams.assignments import end_at_once
from postloop_streams.dead_letters import JournaledDeadLetters, PublishDeadLetters
from postloop_streams.transport import BatchTopic, Lease, RecordBatch, ack, commit_stored

_WATCH_EVERY_S: Final = 1.0
# For how long a role that is told to stop lets an assignment under way end. It asks the broker one thing.
_ASSIGNING_S: Final = 5.0
_LETTERS_S: Final = 30.0

Take = Callable[[RecordBatch, Callable[[], Any]], Awaitable[None]]
"""Takes a batch in; calls the second argument once its effect is stored."""


class Role:
    """The frame of a role. Subclasses say what they read, and what they do when partitions come and go.

    Args:
        name: As in `postloop worker NAME`.
        parts: What must be well for the role to be ready, beside Kafka.
        stuck_after_s: Without a sign of life for so long the role says that it is stuck.
        registry: Of its metrics.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        *,
        parts: Sequence[str],
        stuck_after_s: float,
        registry: CollectorRegistry,
    ) -> None:
        self.name = name
        self.settings = settings
        self.log = structlog.stdlib.get_logger(f"postloop.{name}")
        self.health = HealthState(["kafka", *parts], stuck_after_s=stuck_after_s)
        self._health_server = HealthServer(self.health, settings.health_host, settings.health_port, registry)
        self.lease = Lease(settings.session_timeout.total_seconds())
        # Faust wants a directory even where no table is kept.
        self._directory = TemporaryDirectory(prefix=f"postloop-{name}-")
        self.app = create_app(settings, role=name, data_dir=Path(self._directory.name))
        self._has_started = self._was_assigned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False
        self._assigning = asyncio.Lock()
        self.app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        self.app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self.app.on_before_shutdown.connect(self._on_shutdown, weak=False)
        self.app.task(self._serve_health)
        self.app.task(self._watch)

    # -- what a role says ------------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return what is missing before the worker can start: topics, tables, migrations."""
        raise NotImplementedError

    async def assigned(self, generation_id: int, tps: Collection[TP]) -> None:
        """Own these partitions from now on."""
        raise NotImplementedError

    async def revoked(self) -> None:
        """Own nothing any more; what was stored is committed afterwards."""
        raise NotImplementedError

    async def stopping(self) -> None:
        """Finish what can be finished; `revoked` follows."""

    async def stopped(self) -> None:
        """Let go of what is left."""

    def started(self) -> None:
        """Start what runs beside the agents; called once on the event loop, before the first partitions are owned."""

    def watched(self) -> None:
        """Look after what changes by itself; called every second once partitions were assigned."""

    # -- what a role uses ------------------------------------------------------------------------------------------

    def named(self, topic: str) -> str:
        """Return the name of a topic on this cluster."""
        return prefixed(topic, prefix=self.settings.topic_prefix)

    def missing_topics(self, names: Sequence[str]) -> list[str]:
        """Return a sentence for each topic that does not exist; names with their prefix."""
        missing = topic_admin.missing_topics(self.settings, list(names))
        return [f"topic {name} does not exist: run `postloop topics create`" for name in missing]

    def journaled_dead_letters(self, count: Counter) -> PublishDeadLetters:
        """Return what publishes dead letters that the role's journal stores."""
        letters = JournaledDeadLetters(
            self.app,
            self.named(DEADLETTER_TOPIC),
            topic_ids=partial(topic_admin.topic_ids, self.settings),
            count=count,
        )
        return letters.publish

    def from_thread(self, publish: PublishDeadLetters) -> Callable[[Sequence[DeadLetterV1]], None]:
        """Return the same for another thread: it blocks until the broker has them.

        Raises:
            UnavailableError: The broker does not take them.
        """

        def published(letters: Sequence[DeadLetterV1]) -> None:
            if self._loop is None or self._loop.is_closed():
                raise UnavailableError("the role does not run")
            try:
                asyncio.run_coroutine_threadsafe(publish(letters), self._loop).result(_LETTERS_S)
            # TimeoutError is an OSError; the others mean that the loop has ended, or ends.
            except (KafkaError, OSError, RuntimeError, CancelledError) as error:
                raise UnavailableError(f"dead letters: {str(error) or type(error).__name__}") from error

        return published

    def agent(self, name: str, topics: Sequence[str], take: Take) -> None:
        """Read topics (with their prefix) in whole batches."""

        async def read(stream: Any) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                await take(event.value, partial(ack, event))
                yield

        topic = BatchTopic(
            self.app, topics=list(topics), value_serializer="raw", key_serializer="raw", maxsize=8
        )
        self.app.agent(topic, name=name)(read)

    def fail(self, reason: str) -> None:
        """End the process: nothing may be committed after a fault."""
        end_at_once(self.log, f"{self.name}_stopped", reason=reason)

    # -- what Faust calls ------------------------------------------------------------------------------------------

    async def _on_assigned(self, sender: Any, assigned: set[TP], **_: Any) -> None:
        async with self._assigning:
            if self._is_stopping:
                return
            # Faust runs the tasks of an app once it has started, and the broker may give partitions before.
            self._start_once()
            self._was_assigned = True
            self.lease.watch(self.app.consumer)
            self.health.set("kafka", True)
            await self.assigned(self.app.consumer_generation_id, assigned)

    async def _on_revoked(self, sender: Any, revoked: set[TP], **_: Any) -> None:
        self.health.set("kafka", False, "rebalancing")
        await self.revoked()
        await commit_stored(self.app.consumer)

    async def _on_shutdown(self, sender: Any, **_: Any) -> None:
        self._is_stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ASSIGNING_S), self._assigning:
                pass
        await self.stopping()
        await self.revoked()
        if self._was_assigned:
            await commit_stored(self.app.consumer)
        await self.stopped()
        await self._health_server.stop()

    async def _serve_health(self) -> None:
        await self._health_server.start()
        if self._is_stopping:  # Faust starts what it had begun to start
            return
        self._start_once()
        self.log.info("health_serving", port=self._health_server.port)

    def _start_once(self) -> None:
        if not self._has_started:
            self._has_started = True
            self._loop = asyncio.get_running_loop()
            self.started()

    async def _watch(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(_WATCH_EVERY_S)
            if self._was_assigned:
                answered = self.lease.left_s() > 0
                self.health.set("kafka", answered, "no heartbeat was answered for the session timeout")
                self.watched()
