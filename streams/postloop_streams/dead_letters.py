"""Publishing dead letters: acknowledged by the broker before anything else of their run is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import faust
from prometheus_client import Counter

from postloop.adapters.clock import utc_now
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.adapters.topic_specs import DEADLETTER_MAX_BYTES
from postloop.contracts.deadletter import TOPIC_ID_HEADER, VALUE_OMITTED, DeadLetterV1, Stage, dead_letter
from postloop.contracts.field_errors import FieldError
from postloop.contracts.unreadable import reasons_of, stage_of
from postloop_streams.producing import ToPublish, publish, publish_many

# What the broker counts beside key and value: batch and record headers.
_RECORD_OVERHEAD_BYTES: Final = 1_024
_IDS_KNOWN_S: Final = 5.0


PublishDeadLetters = Callable[[Sequence[DeadLetterV1]], Coroutine[Any, Any, None]]
"""Returns when dead letters are acknowledged."""


class Record(Protocol):
    """A consumed Kafka record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def unreadable(record: Record, error: BaseException) -> DeadLetterV1:
    """Return the dead letter of a record that could not be read."""
    errors = reasons_of(record.value, error)
    return letter_of(record, errors, stage=stage_of(errors))


def letter_of(
    record: Record, errors: Sequence[FieldError], *, stage: Stage, index: int | None = None
) -> DeadLetterV1:
    """Return the dead letter of a record of which a role cannot make anything. Its topic's id comes when it is sent."""
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


class JournaledDeadLetters:
    """The topic of dead letters, for roles whose journal stores them: they say in which life of its topic a record was.

    Args:
        topic: Of dead letters.
        topic_ids: Names of topics -> their ids at the broker; blocks.
        count: Counts each, by stage and code.
    """

    def __init__(
        self,
        app: faust.App,
        topic: str,
        *,
        topic_ids: Callable[[list[str]], Mapping[str, str]],
        count: Counter,
    ) -> None:
        self._app = app
        self._topic = topic
        self._topic_ids = topic_ids
        self._count = count
        self._known: dict[str, str] = {}
        self._known_s = 0.0

    async def publish(self, letters: Sequence[DeadLetterV1]) -> None:
        """Return when the broker acknowledged every dead letter; a repeat has the same id.

        Raises:
            KafkaError, OSError: It did not.
        """
        ids = await self._ids({letter.topic for letter in letters})
        named = [letter.of_topic(ids[letter.topic]) for letter in letters]
        await publish_many(
            self._app,
            [
                ToPublish(
                    self._topic,
                    letter.event_id.encode(),
                    fitting(letter, is_kept_elsewhere=False),
                    headers=((TOPIC_ID_HEADER, ids[letter.topic].encode()),),
                )
                for letter in named
            ],
        )
        for letter in named:
            self._count.labels(stage=letter.stage, code=letter.errors[0].code).inc()

    async def _ids(self, topics: set[str]) -> Mapping[str, str]:
        """Return the ids of topics, asked for again after a moment: a broker may come back with new ones."""
        if time.monotonic() - self._known_s <= _IDS_KNOWN_S and topics <= self._known.keys():
            return self._known
        wanted = topics | self._known.keys()  # others ask meanwhile, for other topics
        try:
            found = await asyncio.to_thread(self._topic_ids, sorted(wanted))
        except (UnavailableError, RefusedError) as error:
            raise OSError(str(error)) from error
        self._known = known = {topic: found.get(topic, "") for topic in wanted}
        self._known_s = time.monotonic()
        return known


def fitting(
    letter: DeadLetterV1,
    *,
    max_bytes: int = DEADLETTER_MAX_BYTES - _RECORD_OVERHEAD_BYTES,
    is_kept_elsewhere: bool = True,
) -> bytes:
    """Return the dead letter as it is published, without its value when that is larger than the topic takes.

    Records may be far larger than their compressed batches, which the input topics limit. A dead letter that the
    broker refuses would hold up its partition for ever; its bytes are kept in ClickHouse.

    Args:
        is_kept_elsewhere: Whether they are; those of a role whose journal follows this topic are not.
    """
    value = letter.to_bytes()
    if len(value) <= max_bytes:
        return value
    where = "see `postloop deadletter show`" if is_kept_elsewhere else "it stands where it was read"
    omitted = FieldError(VALUE_OMITTED, "", f"the value is too large for this topic: {where}")
    errors = (*letter.errors[:19], omitted)
    return letter.model_copy(update={"key_base64": None, "value_base64": None, "errors": errors}).to_bytes()
