"""From fetched records to stretches: validated, without repeats, every refused element with its dead letter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from postloop.adapters.event_columns.decoder import ColumnDecoder
from postloop.adapters.event_columns.reading import FEWEST
from postloop.adapters.event_table import EventRows, with_places
from postloop.adapters.metrics import RecorderMetrics
from postloop.contracts.deadletter import dead_letter
from postloop.contracts.decode import Limits, RecordError, decode_batch
from postloop.domain.event_types import EVENT_TYPES
from postloop_streams.recorder.deliveries import RecentDeliveries
from postloop_streams.recorder.partitions import PartitionState
from postloop_streams.recorder.runs import ColumnRows, Refused, Stretch
from postloop_streams.recorder.seen import Mask, hash_ids

Errors = Sequence[tuple[int, RecordError]]

# What is decoded at once: enough that a column costs little a row, little enough that the loop is not held up and
# that arrays of events do not become huge.
CHUNK_RECORDS: Final = 2_000
CHUNK_BYTES: Final = 2 << 20
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
    """Turns records into stretches and remembers which events it saw, and when messages were delivered."""

    def __init__(
        self,
        *,
        limits: Limits,
        now: Callable[[], datetime],
        stored_positions: StoredPositions,
        deliveries: RecentDeliveries,
        metrics: RecorderMetrics,
    ) -> None:
        self._limits = limits
        self._decoders = {kind: ColumnDecoder(kind, limits) for kind in EVENT_TYPES}
        self._now = now
        self._stored_positions = stored_positions
        self._deliveries = deliveries
        self._metrics = metrics

    async def take(self, state: PartitionState, chunk: Chunk, *, ack: Callable[[], Any] | None) -> Stretch:
        """Return the stretch of a chunk that follows what was taken of its partition before.

        Raises:
            UnavailableError: What is stored of these offsets had to be looked up and could not be.
        """
        now, records = self._now(), chunk.records
        values = [record.value for record in records]
        decode = self._few if len(values) < FEWEST else self._many
        rows, event_count, errors = await decode(state, chunk, values, now=now)
        letters = [self._dead_letter(state, records[place], error, now) for place, error in errors]
        self._count(state, stored=len(rows), repeats=event_count - len(rows), invalid=len(letters))
        state.next_offset = records[-1].offset + 1
        return Stretch(
            log=state.log,
            day=chunk.day,
            rows=rows,
            dead_letters=letters,
            byte_count=sum(map(len, filter(None, values))),
            ack=ack,
        )

    async def _few(
        self, state: PartitionState, chunk: Chunk, values: list[bytes | None], *, now: datetime
    ) -> tuple[EventRows | ColumnRows, int, Errors]:
        """Decode records one by one; they become columns together with others."""
        decoded = decode_batch(state.event_type, values, now=now, limits=self._limits)
        if state.event_type == "delivery":
            self._deliveries.remember_events(decoded.events)
        records, places = chunk.records, decoded.records
        new = await self._are_new(
            state,
            records,
            [e["event_id"] for e in decoded.events],
            places,
            decoded.indexes,
            now_s=now.timestamp(),
        )
        kept = np.flatnonzero(new).tolist()
        rows = EventRows(
            state.event_type,
            state.log.topic,
            state.log.topic_id,
            partitions=[state.log.partition] * len(kept),
            offsets=[records[places[i]].offset for i in kept],
            indexes=[decoded.indexes[i] for i in kept],
            timestamps_ms=[chunk.timestamps_ms[places[i]] for i in kept],
            events=[decoded.events[i] for i in kept] if len(kept) < len(decoded.events) else decoded.events,
        )
        return rows, len(decoded.events), decoded.errors

    async def _many(
        self, state: PartitionState, chunk: Chunk, values: list[bytes | None], *, now: datetime
    ) -> tuple[EventRows | ColumnRows, int, Errors]:
        """Decode records into columns at once."""
        decoder = self._decoders[state.event_type]
        decoded = decoder.decode(values, now=now)
        if state.event_type == "delivery":
            self._deliveries.remember_table(decoded.table)
        records, places, indexes, table = chunk.records, decoded.records, decoded.indexes, decoded.table
        new = await self._are_new(
            state, records, decoded.event_ids, places.tolist(), indexes.tolist(), now_s=now.timestamp()
        )
        if not new.all():
            table, places, indexes = table.filter(pa.array(new)), places[new], indexes[new]
        timestamps_ms = np.array(chunk.timestamps_ms, dtype=np.int64)[places]
        placed = with_places(
            table,
            event_type=state.event_type,
            topic=state.log.topic,
            topic_id=state.log.topic_id,
            partitions=pa.repeat(pa.scalar(state.log.partition, pa.int32()), len(table)),
            offsets=pa.array(np.array([record.offset for record in records], dtype=np.int64)[places]),
            indexes=pa.array(indexes.astype(np.uint32)),
            timestamps_ms=pa.array(timestamps_ms),
        )
        first_ms = int(timestamps_ms[0]) if len(timestamps_ms) else 0
        return ColumnRows(placed, first_ms), len(decoded), decoded.errors

    async def _are_new(
        self,
        state: PartitionState,
        records: Sequence[Record],
        event_ids: Sequence[str],
        places: Sequence[int],
        indexes: Sequence[int],
        *,
        now_s: float,
    ) -> Mask:
        """Return which events are neither stored nor seen, and remember them.

        Raises:
            UnavailableError: See `take`; nothing is remembered then.
        """
        if not event_ids:
            return np.zeros(0, dtype=np.bool_)
        hashes, stored = hash_ids(event_ids), {}
        # Looked up before anything is remembered: when this fails the chunk comes again, and would be its own repeat.
        if records[0].offset <= state.stored_to:
            stored = await self._stored_positions(state, records[0].offset, records[-1].offset)
        new = state.seen.first_of_each(hashes, now_s=now_s)
        if stored:
            # Compared by id too: a truncated log may hold other records at offsets that were stored once.
            new &= [
                stored.get((records[place].offset, index)) != int(id_hash)
                for place, index, id_hash in zip(places, indexes, hashes, strict=True)
            ]
        return new

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
    """Yield the records in order, in chunks of one day, at most CHUNK_RECORDS records and about CHUNK_BYTES.

    A timestamp that is no time of arrival (-1 of a producer without a clock, one beyond the retention, one more
    than a day ahead) is replaced by now: rows stored under such a day would be dropped at once, or never.
    """
    now_ms = int(now.timestamp() * 1000)
    first_ms, last_ms = now_ms - int(retention.total_seconds() * 1000) + _DAY_MS, now_ms + _DAY_MS
    stamps = [r.timestamp if first_ms <= r.timestamp <= last_ms else now_ms for r in records]
    sizes = list(accumulate(len(r.value or b"") for r in records))
    start, taken = 0, 0
    while start < len(records):
        day, end = stamps[start] // _DAY_MS, min(start + CHUNK_RECORDS, len(records))
        end = min(end, max(start + 1, bisect_right(sizes, taken + CHUNK_BYTES)))
        part = stamps[start:end]
        if min(part) // _DAY_MS != day or max(part) // _DAY_MS != day:
            end = start + next(n for n, stamp in enumerate(part) if stamp // _DAY_MS != day)
        yield Chunk(records[start:end], stamps[start:end])
        start, taken = end, sizes[end - 1]
