"""Waiting for what the owner of an endpoint says: the log of attempts, read from its present end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaConsumer, TopicPartition

from postloop.adapters.errors import UnavailableError
from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.adapters.topic_admin import partition_counts
from postloop.contracts.webhook_attempt import AttemptLogV1, AttemptV1, attempt_log_from_bytes
from postloop.domain.errors import DataError
from postloop.domain.event_types import WEBHOOK_ATTEMPT_TOPIC, prefixed
from postloop.settings import Settings

_POLL_MS: Final = 200
# The embedded broker waits all of this before it hands out what it has found, and somebody waits for that.
_FETCH_WAIT_MS: Final = 50


class AttemptWatch:
    """Hears of attempts and answers from its making on. A context manager.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked.
    """

    def __init__(self, settings: Settings) -> None:
        topic = prefixed(WEBHOOK_ATTEMPT_TOPIC, prefix=settings.topic_prefix)
        self._where = f"Kafka at {settings.kafka_brokers}"
        count = partition_counts(settings, [topic])[topic]
        self._consumer: Any = connect_kafka(
            KafkaConsumer,
            settings,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        with kafka_translated(self._where):
            places = [TopicPartition(topic, number) for number in range(count)]
            self._consumer.assign(places)
            for place, end in self._consumer.end_offsets(places).items():
                self._consumer.seek(place, end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def attempt(self, webhook_id: str, *, timeout_s: float) -> AttemptV1:
        """Return the next attempt of a delivery.

        Raises:
            UnavailableError: There is none in time.
        """
        for log in self._logs(timeout_s):
            for attempt in log.attempts:
                if attempt.webhook_id == webhook_id:
                    return attempt
        raise UnavailableError(
            f"no attempt was made within {timeout_s:g} s: does `postloop worker webhooks` run?"
        )

    def answers(self, command_ids: set[str], *, timeout_s: float) -> int:
        """Return how many deliveries some commands touched, once all are answered.

        Raises:
            UnavailableError: An answer does not come in time.
        """
        left, count = set(command_ids), 0
        for log in self._logs(timeout_s) if left else ():
            for answer in log.answers:
                if answer.command_id in left:
                    left.discard(answer.command_id)
                    count += answer.changed_count
            if not left:
                break
        if left:
            raise UnavailableError(f"no answer within {timeout_s:g} s: does `postloop worker webhooks` run?")
        return count

    def _logs(self, timeout_s: float) -> Iterator[AttemptLogV1]:
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            with kafka_translated(self._where):
                fetched = self._consumer.poll(timeout_ms=_POLL_MS)
            for record in (record for records in fetched.values() for record in records):
                try:
                    log = attempt_log_from_bytes(record.value or b"")
                except DataError:
                    continue
                yield log
