"""One connection to the compacted topic: what is new, up to when nothing is missing, and whether it is still the same.

kafka-python does not tell that a fetch was answered with nothing. But it forgets the high watermark of a partition with
its assignment and learns it from the next answer: so an assignment is renewed after each round of answers, and a
partition whose high watermark is known has answered since. The broker's word on the end of a log from ListOffsets is
not asked for, because the embedded broker names the first offset of the last batch; what it says in answers to fetches
is right.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.net import KafkaNetClient

from postloop.adapters.errors import RefusedError
from postloop.adapters.kafka_connect import connect_kafka
from postloop.adapters.kafka_security import kafka_translated
from postloop.domain.errors import PostloopError
from postloop.settings import Settings

_POLL_MS: Final = 500
_MAX_RECORDS: Final = 2_000
_BACKOFF_MS: Final = 200
_REQUEST_TIMEOUT_MS: Final = 15_000
# How soon a topic that was made anew, or has more partitions, is noticed when its offsets do not tell.
_METADATA_AGE_MS: Final = 10_000
_METADATA_TIMEOUT_S: Final = 5.0
_NO_TOPIC_ID: Final = "00000000-0000-0000-0000-000000000000"
# In so many rounds one after the other a partition must be at its end to count as read.
_ROUNDS_AT_END: Final = 2


class LogReplacedError(PostloopError):
    """The topic is not what was read so far: made anew, cut, or with more partitions."""


class Identity(NamedTuple):
    """What is another when a topic was made anew; brokers before 2.8 know no `topic_id`."""

    topic_id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one poll brought.

    Attributes:
        records: (key, value), in the order of each partition.
        heard_since_s: By time.monotonic(); every partition answered a fetch after it. None: not all did yet.
        is_whole: Whether every partition was read to its end once.
    """

    records: list[tuple[bytes | None, bytes | None]]
    heard_since_s: float | None
    is_whole: bool


class StateLog:
    """A connected reader of all partitions, without a group and without commits: Read on the topic is all it needs.

    Raises:
        UnavailableError: No broker answers.
        RefusedError: A broker refuses, or there is no such topic.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._where = f"Kafka at {settings.kafka_brokers}"
        self._clients: list[Any] = []
        self._partitions: list[TopicPartition] = []
        self._rounds_at_end: dict[int, int] = {}
        self._round_s = self._known_s = time.monotonic()
        self.positions: dict[int, int] = {}
        try:
            self._consumer = self._connected(settings)
            self.identity = self._asked_identity()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. A consumer that never connected is no object yet, but has a client with a thread."""
        for client in self._clients:
            client.close()

    def start(self, positions: Mapping[int, int] | None) -> None:
        """Read from these offsets, or from the beginning."""
        self._partitions = [TopicPartition(self._topic, number) for number in range(self.identity.partitions)]
        self._rounds_at_end = dict.fromkeys(range(self.identity.partitions), 0)
        if positions is None:
            with kafka_translated(self._where):
                found = self._consumer.beginning_offsets(self._partitions, timeout_ms=_REQUEST_TIMEOUT_MS)
            positions = {place.partition: offset for place, offset in found.items()}
        self.positions = dict(positions)
        self._new_round()

    def start_at_end(self) -> None:
        """Read what comes from now on, and perhaps a batch before it: see above for the embedded broker's ends."""
        places = [TopicPartition(self._topic, number) for number in range(self.identity.partitions)]
        with kafka_translated(self._where):
            found = self._consumer.end_offsets(places, timeout_ms=_REQUEST_TIMEOUT_MS)
        self.start({place.partition: offset for place, offset in found.items()})

    def poll(self) -> Fetched:
        """Return new records, or none after half a second.

        Raises:
            LogReplacedError: What was read so far is worth nothing.
            UnavailableError, RefusedError: The connection is of no more use.
        """
        is_known = self._is_known()
        with kafka_translated(self._where):
            try:
                fetched = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
                ends = self._positions_and_ends()
            except (OffsetOutOfRangeError, LogTruncationError, NoOffsetForPartitionError) as error:
                raise LogReplacedError(f"{self._topic} does not hold the next offset any more") from error
        records = [(record.key, record.value) for batch in fetched.values() for record in batch]
        heard_since_s = self._heard(ends) if is_known else None
        is_whole = all(rounds >= _ROUNDS_AT_END for rounds in self._rounds_at_end.values())
        return Fetched(records, heard_since_s, is_whole)

    def _is_known(self) -> bool:
        """Return whether the broker knows the topic. When it is gone, the embedded one answers fetches all the same.

        Raises:
            LogReplacedError: It is another one.
            RefusedError: It has been gone for some seconds: the client would go on asking for it without a pause.
        """
        identity, now_s = self._known_identity(), time.monotonic()
        if identity is None:
            if now_s - self._known_s > _METADATA_TIMEOUT_S:
                raise self._no_topic()
            return False
        if identity != self.identity:
            raise LogReplacedError(f"{self._topic} was made anew or has more partitions")
        self._known_s = now_s
        return True

    def _positions_and_ends(self) -> list[tuple[int, int | None]]:
        places = []
        for place in self._partitions:
            position = self._consumer.position(place, timeout_ms=0)
            if position is None:
                raise NoOffsetForPartitionError({place})
            self.positions[place.partition] = position
            places.append((position, self._consumer.highwater(place)))
        return places

    def _heard(self, places: list[tuple[int, int | None]]) -> float | None:
        """Return since when every partition has answered, and begin the next round; None when not all have.

        Raises:
            LogReplacedError: A log ends before what was read of it. The embedded broker does not call that an error.
        """
        if any(end is not None and end < position for position, end in places):
            raise LogReplacedError(f"{self._topic} is shorter than what was read of it")
        if any(end is None for _, end in places):
            return None
        for number, (position, end) in enumerate(places):
            self._rounds_at_end[number] = self._counted(number, is_at_end=position == end)
        heard_since_s = self._round_s
        self._new_round()
        return heard_since_s

    def _counted(self, number: int, *, is_at_end: bool) -> int:
        rounds = self._rounds_at_end[number]
        if rounds >= _ROUNDS_AT_END:
            return rounds
        return rounds + 1 if is_at_end else 0

    def _new_round(self) -> None:
        self._round_s = time.monotonic()
        self._consumer.assign([])
        self._consumer.assign(self._partitions)
        for place in self._partitions:
            self._consumer.seek(place, self.positions[place.partition])

    def _connected(self, settings: Settings) -> Any:
        return connect_kafka(
            KafkaConsumer,
            settings,
            kafka_client=self._client,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            # With a session, partitions without news would be left out of answers.
            enable_incremental_fetch_sessions=False,
            fetch_max_wait_ms=_POLL_MS,
            max_poll_records=_MAX_RECORDS,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=_METADATA_AGE_MS,
            retry_backoff_ms=_BACKOFF_MS,
            reconnect_backoff_max_ms=2_000,
            metrics_enabled=False,
        )

    def _client(self, **config: Any) -> Any:
        client = KafkaNetClient(**config)
        # The consumer's own option for this is not passed on (3.0.12): to ask for a topic would create it.
        client.cluster.config["allow_auto_create_topics"] = False
        self._clients.append(client)
        return client

    def _asked_identity(self) -> Identity:
        cluster = self._clients[-1].cluster
        cluster.set_topics([self._topic])
        deadline_s = time.monotonic() + _METADATA_TIMEOUT_S
        while (identity := self._known_identity()) is None:
            if self._topic in cluster.unauthorized_topics:
                raise RefusedError(f"{self._where} refused: no right to read {self._topic}", code="no_right")
            if time.monotonic() > deadline_s:
                raise self._no_topic()
            time.sleep(0.02)
        self._known_s = time.monotonic()
        return identity

    def _no_topic(self) -> RefusedError:
        return RefusedError(f"topic {self._topic} does not exist", code="no_topic")

    def _known_identity(self) -> Identity | None:
        """Return what the last answer about the topic said, None when it said that there is no such topic."""
        cluster = self._clients[-1].cluster
        numbers, topic_id = cluster.partitions_for_topic(self._topic), cluster.topic_id(self._topic)
        if not numbers:
            return None
        told = "" if topic_id is None or str(topic_id) == _NO_TOPIC_ID else str(topic_id)
        return Identity(told, max(numbers) + 1)
