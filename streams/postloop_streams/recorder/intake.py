"""From fetched records to stretches: validated, without repeats, every refused element with its dead letter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

from postloop.adapters.event_table import EventRows
from postloop.adapters.metrics import RecorderMetrics
from postloop.contracts.deadletter import dead_letter
from postloop.contracts.decode import DecodedBatch, Limits, RecordError, decode_batch
from postloop_streams.recorder.partitions import PartitionState
from postloop_streams.recorder.runs import Refused, Stretch
from postloop_streams.recorder.seen import hash_ids

# Small chunks keep the young objects in the caches: 500 records cost a fifth less each than 5,000 at once.
CHUNK_RECORDS: Final = 500
_EPOCH: Final = date(1970, 1, 1)
_DAY_MS: Final = 86_400_000


class Record(Protocol):
    """A consumed Kafka record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class StoredPositions(Protocol):
    """Looks up what is stored of a partition in a range of offsets: (offset, index) -> hash of the event id."""

    async def __call__(self, state: PartitionState, first: int, last: int) -> dict[tuple[int, int], int]: ...


class Intake:
    """Turns records into stretches and remembers which events it saw."""

    def __init__(
        self,
        *,
        limits: Limits,
        now: Callable[[], datetime],
        stored_positions: StoredPositions,
        metrics: RecorderMetrics,
    ) -> None:
        self._limits = limits
        self._now = now
        self._stored_positions = stored_positions
        self._metrics = metrics

    async def take(self, state: PartitionState, chunk: Chunk, *, ack: Callable[[], Any] | None) -> Stretch:
        """Return the stretch of a chunk that follows what was taken of its partition before.

        Raises:
            UnavailableError: What is stored of these offsets had to be looked up and could not be.
        """
        now, records = self._now(), chunk.records
        decoded = decode_batch(state.event_type, [r.value for r in records], now=now, limits=self._limits)
        kept = await self._new_events(state, records, decoded, now_s=now.timestamp())
        rows = EventRows(
            state.event_type,
            state.log.topic,
            state.log.topic_id,
            partitions=[state.log.partition] * len(kept),
            offsets=[records[decoded.records[i]].offset for i in kept],
            indexes=[decoded.indexes[i] for i in kept],
            timestamps_ms=[chunk.timestamps_ms[decoded.records[i]] for i in kept],
            events=[decoded.events[i] for i in kept] if len(kept) < len(decoded.events) else decoded.events,
        )
        letters = [self._dead_letter(state, records[place], error, now) for place, error in decoded.errors]
        self._count(state, stored=len(kept), repeats=len(decoded.events) - len(kept), invalid=len(letters))
        state.next_offset = records[-1].offset + 1
        return Stretch(
            log=state.log,
            day=chunk.day,
            rows=rows,
            dead_letters=letters,
            byte_count=sum(len(r.value) for r in records if r.value),
            ack=ack,
        )

    async def _new_events(
        self, state: PartitionState, records: Sequence[Record], decoded: DecodedBatch, *, now_s: float
    ) -> Sequence[int]:
        """Return the places of the events that are neither stored nor seen."""
        if not decoded.events:
            return ()
        hashes = hash_ids([event["event_id"] for event in decoded.events])
        again = [False] * len(hashes)
        if records[0].offset <= state.stored_to:
            stored = await self._stored_positions(state, records[0].offset, records[-1].offset)
            # Compared by id too: a truncated log may hold other records at offsets that were stored once.
            again = [
                stored.get((records[place].offset, index)) == int(id_hash)
                for place, index, id_hash in zip(decoded.records, decoded.indexes, hashes, strict=True)
            ]
        new = state.seen.first_of_each(hashes, now_s=now_s)
        return [
            place
            for place, (is_new, was) in enumerate(zip(new.tolist(), again, strict=True))
            if is_new and not was
        ]

    def _dead_letter(
        self, state: PartitionState, record: Record, error: RecordError, now: datetime
    ) -> Refused:
        self._metrics.dead_letters_total.labels(stage=error.stage, code=error.errors[0].code).inc()
        letter = dead_letter(
            topic_id=state.log.topic_id,
            topic=state.log.topic,
            partition=state.log.partition,
            offset=record.offset,
            index=error.index,
            key=record.key,
            value=None if record.value is None else error.value,
            stage=error.stage,
            errors=error.errors,
            at=now,
        )
        return Refused(state.log.topic_id, letter)

    def _count(self, state: PartitionState, *, stored: int, repeats: int, invalid: int) -> None:
        for outcome, count in (("stored", stored), ("duplicate", repeats), ("invalid", invalid)):
            if count:
                self._metrics.recorder_events_total.labels(topic=state.log.topic, outcome=outcome).inc(count)


@dataclass(frozen=True)
class Chunk:
    """Consecutive records with timestamps of one day; `timestamps_ms` is what is stored as `record_at`."""

    records: Sequence[Record]
    timestamps_ms: list[int]

    @property
    def day(self) -> date:
        """The partition of `events` that the rows go to."""
        return _EPOCH + timedelta(days=self.timestamps_ms[0] // _DAY_MS)


def chunks_of(records: Sequence[Record], *, now: datetime, retention: timedelta) -> Iterator[Chunk]:
    """Yield the records in order, in chunks of one day and at most CHUNK_RECORDS records.

    A timestamp that is no time of arrival (-1 of a producer without a clock, one beyond the retention, one more
    than a day ahead) is replaced by now: rows stored under such a day would be dropped at once, or never.
    """
    now_ms = int(now.timestamp() * 1000)
    first_ms, last_ms = now_ms - int(retention.total_seconds() * 1000) + _DAY_MS, now_ms + _DAY_MS
    stamps = [r.timestamp if first_ms <= r.timestamp <= last_ms else now_ms for r in records]
    start = 0
    while start < len(records):
        day, end = stamps[start] // _DAY_MS, min(start + CHUNK_RECORDS, len(records))
        part = stamps[start:end]
        if min(part) // _DAY_MS != day or max(part) // _DAY_MS != day:
            end = start + next(n for n, stamp in enumerate(part) if stamp // _DAY_MS != day)
        yield Chunk(records[start:end], stamps[start:end])
        start = end
