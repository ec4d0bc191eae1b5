"""Waiting for what the owner of an endpoint says: the log of attempts, read from its present end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from postloop.adapters.errors import UnavailableError
from postloop.adapters.topic_admin import partition_counts
from postloop.adapters.topic_tail import TopicTail
from postloop.contracts.webhook_attempt import AttemptLogV1, AttemptV1, attempt_log_from_bytes
from postloop.domain.errors import DataError
from postloop.domain.event_types import WEBHOOK_ATTEMPT_TOPIC, prefixed
from postloop.settings import Settings


class AttemptWatch:
    """Hears of attempts and answers from its making on. A context manager.

    Raises:
        UnavailableError, RefusedError: The broker cannot be asked.
    """

    def __init__(self, settings: Settings) -> None:
        topic = prefixed(WEBHOOK_ATTEMPT_TOPIC, prefix=settings.topic_prefix)
        count = partition_counts(settings, [topic])[topic]
        self._tail = TopicTail(settings, topic, partition_count=count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tail.close()

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
            for value in self._tail.values():
                try:
                    log = attempt_log_from_bytes(value or b"")
                except DataError:
                    continue
                yield log
