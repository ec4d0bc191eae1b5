"""Publishing dead letters: acknowledged by the broker before anything else of their run is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import faust

from postloop.adapters.clock import utc_now
from postloop.adapters.topic_specs import DEADLETTER_MAX_BYTES
from postloop.contracts.deadletter import DeadLetterV1, Stage, dead_letter
from postloop.contracts.field_errors import FieldError
from postloop_streams.producing import ToPublish, publish

# What the broker counts beside key and value: batch and record headers.
_RECORD_OVERHEAD_BYTES: Final = 1_024


class Record(Protocol):
    """A consumed Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def letter_of(
    record: Record, errors: Sequence[FieldError], *, stage: Stage, index: int | None = None
) -> DeadLetterV1:
    """Return the dead letter of a record of which this role cannot make anything. Its topic's id is not asked for."""
    return dead_letter(
        topic_id="",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        index=index,
        key=record.key,
        value=record.value,
        stage=stage,
        errors=tuple(errors),
        at=utc_now(),
    )


class DeadLetterTopic:
    """The topic of dead letters, through the app's own producer."""

    def __init__(self, app: faust.App, topic: str) -> None:
        self._app = app
        self._topic = topic

    async def publish(self, letters: Sequence[DeadLetterV1]) -> None:
        """Return when the broker acknowledged every dead letter; a repeat has the same id."""
        await publish(
            self._app,
            [ToPublish(self._topic, letter.event_id.encode(), fitting(letter)) for letter in letters],
        )


def fitting(letter: DeadLetterV1, *, max_bytes: int = DEADLETTER_MAX_BYTES - _RECORD_OVERHEAD_BYTES) -> bytes:
    """Return the dead letter as it is published, without its value when that is larger than the topic takes.

    Records may be far larger than their compressed batches, which the input topics limit. A dead letter that the
    broker refuses would hold up its partition for ever; its bytes are kept in ClickHouse.
    """
    value = letter.to_bytes()
    if len(value) <= max_bytes:
        return value
    omitted = FieldError(
        "value_omitted", "", "the value is too large for this topic: see `postloop deadletter show`"
    )
    errors = (*letter.errors[:19], omitted)
    return letter.model_copy(update={"key_base64": None, "value_base64": None, "errors": errors}).to_bytes()
