"""Kafka for a loop: publishing returns when the brokers acknowledged, and says at once when they are away.

One producer, made anew in the background after a failure: while no broker answers no request waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.record_producer import Record, RecordProducer
from postloop.adapters.telemetry import get_logger
from postloop.api.problems import missing, raise_unavailable
from postloop.domain.event_types import BLOCKLIST_COMMAND_TOPIC, EVENT_TYPES, prefixed, topic_name
from postloop.settings import Settings

# Who publishes waits this long at most. Seconds.
ACK_TIMEOUT_S: Final = 8.0
_THREADS: Final = 8
_MAX_WAITING: Final = 200
_PAUSE_S: Final = 1.0
_EVENTS_UNKNOWN: Final = (
    "Kafka did not acknowledge everything; send the same again: what arrived twice counts once."
)
log = get_logger("postloop.api")


class Publisher:
    """Publishes records of requests. Used from one loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kafka")
        self._producer: RecordProducer | None = None
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._waiting = 0
        self.problem = "not connected yet"

    async def start(self) -> None:
        """Begin to connect."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End; what was not acknowledged may be lost."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._producer is not None:
            self._threads.submit(self._producer.close)
        self._threads.shutdown(wait=False)

    async def publish(self, records: Sequence[Record], *, when_unknown: str = _EVENTS_UNKNOWN) -> None:
        """Return when the brokers acknowledged every record.

        Args:
            when_unknown: What to say where it is not known what arrived, and what to do then.

        Raises:
            Problem: 503: they did not, or not all; what was not acknowledged may arrive all the same.
        """
        producer = self._producer
        if producer is None:
            raise missing("kafka", "Kafka cannot be reached at the moment; nothing was sent.")
        if self._waiting >= _MAX_WAITING:
            raise missing("kafka", "Too many requests wait for Kafka; nothing was sent.")
        self._waiting += 1
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, producer.publish, records)
        except UnavailableError as error:
            self._note_broken(producer, error)
            raise_unavailable("kafka", error, when_unknown)
        except RefusedError as error:
            raise_unavailable("kafka", error, when_unknown)
        finally:
            self._waiting -= 1

    def _note_broken(self, producer: RecordProducer, error: UnavailableError) -> None:
        if self._producer is producer:
            self._producer, self.problem = None, str(error)
            self._threads.submit(producer.close)
            self._broken.set()

    async def _keep(self) -> None:
        while True:
            try:
                self._producer = await asyncio.to_thread(self._connected)
            except (UnavailableError, RefusedError) as error:
                if str(error) != self.problem:
                    log.warning("kafka_not_connected", reason=str(error))
                self.problem = str(error)
                await asyncio.sleep(_PAUSE_S)
                continue
            self.problem = ""
            self._broken.clear()
            await self._broken.wait()

    def _connected(self) -> RecordProducer:
        producer = RecordProducer(self._settings, timeout_s=ACK_TIMEOUT_S)
        prefix = self._settings.topic_prefix
        topics = [prefixed(BLOCKLIST_COMMAND_TOPIC, prefix=prefix)]
        topics += [topic_name(kind, prefix=prefix) for kind in EVENT_TYPES]
        try:
            producer.require_topics(topics)
        except BaseException:
            producer.close()
            raise
        return producer
