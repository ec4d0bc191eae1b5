"""A journal: what a role published and what it knows, written to ClickHouse.

It runs in a thread with committed offsets of its own, so that a database that is away holds up nobody: the role goes
on, the journal catches up. Who owns a partition of the role's own topic journals the partitions of the same number: no
second group has to agree on anything. Two that do so at once for a moment write equal rows, of which the tables
keep one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, TopicPartition
from prometheus_client import Gauge

from postloop.adapters.errors import RefusedError, UnavailableError, UnfitError
from postloop.adapters.health_server import HealthState
from postloop.adapters.journal import Journal
from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.contracts.deadletter import DeadLetterV1
from postloop.contracts.unreadable import reasons_of, stage_of
from postloop.settings import Settings
from postloop_streams.dead_letters import letter_of

log = structlog.stdlib.get_logger("postloop.journal")

_POLL_MS: Final = 500
_MAX_RECORDS: Final = 5_000
# Rows wait this long for company: an insert costs the database a fixed price.
_LINGER_S: Final = 0.1
_PAUSE_S: Final = 1.0
_IDLE_S: Final = 0.2
# Copying takes as much of the processor as the role itself: it waits while that has a deadline, but not for long.
_LONGEST_WAY_S: Final = 3.0
_GIVING_WAY_S: Final = 0.05


class JournalWriter(threading.Thread):
    """Copies topics into ClickHouse until told to stop.

    Args:
        topics: Name of each topic -> the number of its partitions.
        name: Of the consumer group, behind the prefix.
        partitions: Of the topic that the role's workers share.
        is_urgent: Whether the role has something to do that must not be late.
        connect_journal: Returns the writing side of ClickHouse; may be called again after a failure.
        refuse: Publishes dead letters; returns when the broker has them.
        unstored_rows: What was read and is not stored yet.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Mapping[str, int],
        *,
        name: str,
        partitions: int,
        connect_journal: Callable[[], Journal],
        refuse: Callable[[Sequence[DeadLetterV1]], None],
        unstored_rows: Gauge,
        is_urgent: Callable[[], bool] = lambda: False,
        health: HealthState,
        fail: Callable[[str], None],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._settings = settings
        self._topics = topics
        self._partitions = partitions
        self._owned: frozenset[int] = frozenset()
        self._assigned: frozenset[int] = frozenset()
        self._is_urgent = is_urgent
        self._connect_journal = connect_journal
        self._refuse = refuse
        self._unstored_rows = unstored_rows
        self._health = health
        self._fail = fail
        self._stopping = threading.Event()

    def assign(self, numbers: Collection[int]) -> None:
        """Journal what belongs to these partitions from now on; may be called from any thread."""
        self._owned = frozenset(numbers)

    def stop(self, *, timeout_s: float) -> None:
        """Store what was read, and end."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout_s)

    def run(self) -> None:
        """Read and write until told to stop; outages are waited for."""
        while not self._stopping.is_set():
            try:
                self._copy()
            except (UnavailableError, RefusedError) as error:
                log.warning("journal_waits", reason=str(error))
                self._health.set("journal", False, str(error))
                self._stopping.wait(_PAUSE_S)
            except Exception as error:  # a fault of ours: the role must not go on without its journal
                log.exception("journal_failed")
                self._fail(f"journal: {type(error).__name__}: {error}")
                return

    def _copy(self) -> None:
        where = f"Kafka at {self._settings.kafka_brokers}"
        consumer: Any = connect_kafka(
            KafkaConsumer,
            self._settings,
            group_id=f"{self._settings.group_prefix}-{self.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=_MAX_RECORDS,
        )
        self._assigned = frozenset()
        try:
            journal = self._connect_journal()
            self._health.set("journal", True)
            while not self._stopping.is_set():
                with kafka_translated(where):
                    fetched = self._fetch(consumer)
                if fetched:
                    self._store(journal, consumer, fetched)
        finally:
            consumer.close()

    def _fetch(self, consumer: Any) -> dict[Any, list[Any]]:
        """Return new records, with those that came a moment later; nothing when nothing is owned."""
        owned = self._owned
        if owned != self._assigned:
            consumer.assign(
                [
                    TopicPartition(topic, number)
                    for topic, count in self._topics.items()
                    for number in range(count)
                    if number % self._partitions in owned
                ]
            )
            self._assigned = owned
        if not owned:
            self._stopping.wait(_IDLE_S)
            return {}
        self._give_way()
        fetched = consumer.poll(timeout_ms=_POLL_MS)
        if not fetched:
            return {}
        time.sleep(_LINGER_S)
        return _joined(fetched, consumer.poll(timeout_ms=0))

    def _give_way(self) -> None:
        deadline_s = time.monotonic() + _LONGEST_WAY_S
        while self._is_urgent() and time.monotonic() < deadline_s and not self._stopping.is_set():
            self._stopping.wait(_GIVING_WAY_S)

    def _store(self, journal: Journal, consumer: Any, records: Mapping[Any, list[Any]]) -> None:
        rows = [record for batch in records.values() for record in batch]
        self._unstored_rows.set(len(rows))
        while True:
            try:
                self._write(journal, rows)
                break
            except (UnavailableError, RefusedError) as error:
                if self._stopping.is_set():
                    raise  # not committed: read again at the next start
                log.warning("sink_unavailable", reason=str(error))
                self._health.set("journal", False, str(error))
                self._stopping.wait(_PAUSE_S)
        with kafka_translated(f"Kafka at {self._settings.kafka_brokers}"):
            consumer.commit()
        self._unstored_rows.set(0)
        self._health.set("journal", True)

    def _write(self, journal: Journal, records: Sequence[Any]) -> None:
        """Store records; what is none, or what no table takes, becomes a dead letter and holds up nothing."""
        try:
            refused = journal.write(records)
        except Exception as error:  # a number beyond its column, a fault of ours: the others go on
            if isinstance(error, UnavailableError | RefusedError) and not isinstance(error, UnfitError):
                raise
            if len(records) > 1:
                half = len(records) // 2
                self._write(journal, records[:half])
                self._write(journal, records[half:])
                return
            log.exception("record_not_stored", topic=records[0].topic, offset=records[0].offset)
            self._refuse([letter_of(records[0], reasons_of(records[0].value, error), stage="process")])
            return
        if refused:
            self._refuse([letter_of(record, errors, stage=stage_of(errors)) for record, errors in refused])


def _joined(first: Mapping[Any, list[Any]], second: Mapping[Any, list[Any]]) -> dict[Any, list[Any]]:
    return {place: [*first.get(place, []), *second.get(place, [])] for place in {*first, *second}}
