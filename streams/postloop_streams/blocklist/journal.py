"""The journal: what was published and what is known, written to ClickHouse.

It has a consumer group of its own and runs in a thread, so that a database that is away holds up nobody: the list goes
on, the journal catches up. Rows are written at least once, and the tables keep one of equal ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from kafka import KafkaConsumer

from postloop.adapters.blocklist_journal import BlocklistJournal
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.adapters.metrics import BlocklistMetrics
from postloop.settings import Settings

log = structlog.stdlib.get_logger("postloop.blocklist.journal")

GROUP_ROLE: Final = "blocklist-journal"
_POLL_MS: Final = 500
_MAX_RECORDS: Final = 5_000
# Rows wait this long for company: an insert costs the database a fixed price.
_LINGER_S: Final = 0.2
_PAUSE_S: Final = 1.0
_MAX_POLL_INTERVAL_MS: Final = 86_400_000


class JournalWriter(threading.Thread):
    """Copies topics into ClickHouse until told to stop.

    Args:
        topics: Name of each topic -> what it is to the journal.
        connect_journal: Returns the writing side of ClickHouse; may be called again after a failure.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        *,
        connect_journal: Callable[[], BlocklistJournal],
        metrics: BlocklistMetrics,
        health: HealthState,
        fail: Callable[[str], None],
    ) -> None:
        super().__init__(name="blocklist-journal", daemon=True)
        self._settings = settings
        self._topics = topics
        self._connect_journal = connect_journal
        self._metrics = metrics
        self._health = health
        self._fail = fail
        self._stopping = threading.Event()

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
        consumer = self._consumer()
        try:
            journal = self._connect_journal()
            while not self._stopping.is_set():
                with kafka_translated(f"Kafka at {self._settings.kafka_brokers}"):
                    fetched = consumer.poll(timeout_ms=_POLL_MS)
                if fetched:
                    time.sleep(_LINGER_S)
                    with kafka_translated(f"Kafka at {self._settings.kafka_brokers}"):
                        more = consumer.poll(timeout_ms=0)
                    self._store(journal, consumer, _joined(fetched, more))
                self._health.set("journal", True)
        finally:
            consumer.close()

    def _consumer(self) -> Any:
        session_ms = int(self._settings.session_timeout.total_seconds() * 1000)
        consumer: Any = connect_kafka(
            KafkaConsumer,
            self._settings,
            group_id=f"{self._settings.group_prefix}-{GROUP_ROLE}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            max_poll_records=_MAX_RECORDS,
        )
        consumer.subscribe(list(self._topics))
        return consumer

    def _store(self, journal: BlocklistJournal, consumer: Any, records: Mapping[Any, list[Any]]) -> None:
        rows = [record for batch in records.values() for record in batch]
        self._metrics.blocklist_journal_unstored_rows.set(len(rows))
        while True:
            try:
                journal.write(rows)
                break
            except (UnavailableError, RefusedError) as error:
                if self._stopping.is_set():
                    raise  # not committed: read again at the next start
                log.warning("sink_unavailable", reason=str(error))
                self._health.set("journal", False, str(error))
                self._stopping.wait(_PAUSE_S)
        with kafka_translated(f"Kafka at {self._settings.kafka_brokers}"):
            consumer.commit()
        self._metrics.blocklist_journal_unstored_rows.set(0)


def _joined(first: Mapping[Any, list[Any]], second: Mapping[Any, list[Any]]) -> dict[Any, list[Any]]:
    return {place: [*first.get(place, []), *second.get(place, [])] for place in {*first, *second}}
