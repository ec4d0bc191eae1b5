"""What the peers share: where to read, how to validate with the project's contract, how to insert.

They are at-least-once, know no deduplication and no insert runs. All are told by the environment (BENCH_*) where
broker, topics and ClickHouse are; the start of the clock is noted in a file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import clickhouse_connect

from postloop.contracts.decode import RecordError, decode_batch, decode_record
from postloop.contracts.events import Event
from postloop.contracts.rows import columns_of
from postloop.domain.event_types import EVENT_TYPES, EventType, topic_name

BATCH_ROWS: Final = 20_000
SESSION_TIMEOUT_MS: Final = 30_000


@dataclass(frozen=True)
class Job:
    """Where one run reads and writes."""

    brokers: str
    group: str
    clickhouse_port: int
    topics: dict[str, EventType]
    started_file: Path
    data_dir: Path

    def note_start(self) -> None:
        """Note the moment of the assignment, or of the first record; later calls change nothing."""
        if not self.started_file.exists():
            self.started_file.write_text(repr(time.time()))


def job() -> Job:
    """Return the job that the environment describes."""
    env = os.environ
    return Job(
        brokers=env["BENCH_BROKERS"],
        group=env["BENCH_GROUP"],
        clickhouse_port=int(env["BENCH_CLICKHOUSE_PORT"]),
        topics={topic_name(kind, prefix=env["BENCH_PREFIX"]): kind for kind in EVENT_TYPES},
        started_file=Path(env["BENCH_STARTED_FILE"]),
        data_dir=Path(env["BENCH_DATA_DIR"]),
    )


class Place(NamedTuple):
    """Where a record stood."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass
class Rows:
    """Validated events of one type with their places, and what was refused."""

    events: list[Event] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    refused: list[tuple[Place, RecordError]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.events) + len(self.refused)

    def add(self, place: Place, checked: Event | RecordError) -> None:
        """Keep one checked record."""
        if isinstance(checked, RecordError):
            self.refused.append((place, checked))
        else:
            self.events.append(checked)
            self.places.append(place)


def check_one(kind: EventType, value: bytes) -> Event | RecordError:
    """Return the event of a record, or why it is none: for frameworks that show one record at a time."""
    decoded = decode_record(kind, value, now=datetime.now(UTC))
    return decoded.events[0] if decoded.events else decoded.errors[0]


def check_many(kind: EventType, values: Iterable[bytes], places: list[Place]) -> Rows:
    """Return the events of many records of one type: for loops that have them together."""
    decoded = decode_batch(kind, values, now=datetime.now(UTC))
    return Rows(
        decoded.events,
        [places[number] for number in decoded.records],
        [(places[number], error) for number, error in decoded.errors],
    )


class Sink:
    """Inserts columns into ClickHouse, one insert per event type. Blocks."""

    def __init__(self, at: Job) -> None:
        self._types = at.topics
        self._client = clickhouse_connect.get_client(
            host="127.0.0.1", port=at.clickhouse_port, autogenerate_session_id=False, compress=False
        )

    def store(self, kind: EventType, rows: Rows) -> None:
        """Insert the events and the dead letters of one type."""
        if rows.events:
            columns = {**columns_of(kind, rows.events), **self._place_columns(kind, rows.places)}
            self._client.insert(
                "events", list(columns.values()), column_names=list(columns), column_oriented=True
            )
        if rows.refused:
            names = ["topic", "partition", "offset", "index", "stage", "error_code", "errors", "at"]
            letters = [self._letter(place, error) for place, error in rows.refused]
            self._client.insert("dead_letters", letters, column_names=names)

    def _place_columns(self, kind: EventType, places: list[Place]) -> dict[str, list[Any]]:
        now, count = datetime.now(UTC), len(places)
        return {
            "event_type": [kind] * count,
            "topic": [f"email.{kind}"] * count,
            "partition": [place.partition for place in places],
            "offset": [place.offset for place in places],
            "record_at": [datetime.fromtimestamp(place.timestamp_ms / 1000, UTC) for place in places],
            "stored_at": [now] * count,
        }

    def _letter(self, place: Place, error: RecordError) -> list[Any]:
        topic = f"email.{self._types[place.topic]}"
        reasons = [reason.code for reason in error.errors]
        at = datetime.now(UTC)
        return [topic, place.partition, place.offset, -1, error.stage, reasons[0], json.dumps(reasons), at]
