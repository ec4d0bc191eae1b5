"""How a worker comes to its entries: from the changelog, from its file, from ClickHouse. Time and memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from bench import stack
from bench.blocklist.entries import changelog, made_entries
from bench.blocklist.throughput import PARTITIONS, Say, nothing
from bench.worker import Place, Worker, running
from postloop.adapters.blocklist_journal import BlocklistJournal
from postloop.adapters.blocklist_store import BlocklistWriter
from postloop.contracts.blocklist_state import entry_key
from postloop.domain.blocklist import GLOBAL
from postloop.domain.event_types import BLOCKLIST_CHANGELOG_TOPIC, prefixed
from postloop_streams.blocklist.app import JOURNAL

_TOLD_EVERY: Final = 10_000
_JOURNAL_ROWS: Final = 20_000
_SETTLE_S: Final = 2.0
_MB: Final = 1 << 20


class Source(StrEnum):
    """Where a worker's entries come from: the changelog, its own files, ClickHouse."""

    CHANGELOG = "changelog"
    FILE = "file"
    CLICKHOUSE = "clickhouse"


@dataclass(frozen=True, kw_only=True)
class Restarted:
    """One start of a worker.

    Attributes:
        ready_s: From the start of its process until it said that it is ready.
        cpu_s: CPU seconds that it used for that.
        peak_mb: Largest resident memory, up to some seconds after.
        rss_mb: Resident memory at the end.
        files_mb: Its files of state.
    """

    source: Source
    entries: int
    ready_s: float
    cpu_s: float
    peak_mb: float
    rss_mb: float
    files_mb: float


def measure_restarts(
    count: int, directory: Path, *, sources: Collection[Source], timeout_s: float, say: Say = nothing
) -> Iterator[Restarted]:
    """Yield a start that reads the changelog, then one that finds its files, and one with ClickHouse only.

    Raises:
        BenchError: A worker did not get ready in time.
    """
    if set(sources) - {Source.CLICKHOUSE}:  # who reads its files has read the changelog before
        yield from _from_kafka(count, _new(directory / "kafka"), timeout_s=timeout_s, say=say)
    if Source.CLICKHOUSE in sources:
        yield _from_clickhouse(count, _new(directory / "clickhouse"), timeout_s=timeout_s, say=say)


def _new(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _from_kafka(count: int, directory: Path, *, timeout_s: float, say: Say) -> Iterator[Restarted]:
    with stack.broker(directory, partitions=PARTITIONS) as brokers, stack.clickhouse(directory) as store:
        place = Place.new(brokers, store.port, directory)
        load_changelog(place, "old", count, say=say)
        yield _started(Source.CHANGELOG, count, place, timeout_s=timeout_s)
        yield _started(Source.FILE, count, place, timeout_s=timeout_s)


def _from_clickhouse(count: int, directory: Path, *, timeout_s: float, say: Say) -> Restarted:
    with stack.broker(directory, partitions=PARTITIONS) as brokers, stack.clickhouse(directory) as store:
        _fill(store, count, say=say)
        place = Place.new(brokers, store.port, directory)
        return _started(Source.CLICKHOUSE, count, place, timeout_s=timeout_s)


def load_changelog(place: Place, name: str, count: int, *, say: Say = nothing) -> None:
    """Load the changelog of `count` entries that end in two weeks, as a journal that read it leaves it."""
    lengths: Counter[int] = Counter()

    def counted() -> Iterator[stack.Addressed]:
        records = changelog(name, count, bounced_ms=_recent_ms(count), partitions=PARTITIONS)
        for number, record in enumerate(records):
            lengths[record.partition] += 1
            if number % _TOLD_EVERY == 0:
                say(number)
            yield record

    stack.append(place.brokers, counted())
    _commit_journal(place, lengths)


def _commit_journal(place: Place, lengths: Counter[int]) -> None:
    """Commit for the journal that it has stored the changelog: else it would copy it while the worker starts."""
    consumer: Any = KafkaConsumer(
        bootstrap_servers=place.brokers, group_id=f"{place.group}-{JOURNAL}", enable_auto_commit=False
    )
    try:
        topic = prefixed(BLOCKLIST_CHANGELOG_TOPIC, prefix=stack.PREFIX)
        ends = {
            TopicPartition(topic, number): OffsetAndMetadata(length, "", -1)
            for number, length in lengths.items()
        }
        consumer.assign(list(ends))
        consumer.commit(ends)
    finally:
        consumer.close()


def _fill(store: stack.Store, count: int, *, say: Say) -> None:
    """Store the entries as the journal stores them."""
    journal = BlocklistJournal(BlocklistWriter(store.client), prefix=stack.PREFIX, form="clear")
    topic = prefixed(BLOCKLIST_CHANGELOG_TOPIC, prefix=stack.PREFIX)
    now_ms, done = int(time.time() * 1000), 0
    entries = made_entries("old", count, bounced_ms=_recent_ms(count))
    while page := list(islice(entries, _JOURNAL_ROWS)):
        journal.write(
            [
                SimpleNamespace(
                    topic=topic,
                    offset=done + place,
                    timestamp=now_ms,
                    key=entry_key(GLOBAL, made.recipient).encode(),
                    value=made.entry,
                    headers=(),
                )
                for place, made in enumerate(page)
            ]
        )
        done += len(page)
        say(done)


def _started(source: Source, count: int, place: Place, *, timeout_s: float) -> Restarted:
    with running(place) as worker:
        ready_s = worker.wait_ready(timeout_s=timeout_s)
        time.sleep(_SETTLE_S)
        result = _figures(source, count, place, worker, ready_s=ready_s)
        worker.process.stop()
    return result


def _figures(source: Source, count: int, place: Place, worker: Worker, *, ready_s: float) -> Restarted:
    return Restarted(
        source=source,
        entries=count,
        ready_s=ready_s,
        cpu_s=worker.cpu_s(worker.started_at, worker.ready_at),
        peak_mb=worker.peak_mb(),
        rss_mb=worker.rss_mb(),
        files_mb=_size_bytes((place.directory / "blocklist").iterdir()) / _MB,
    )


def _size_bytes(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _recent_ms(count: int) -> int:
    """Return a moment so that the last of the entries, one a millisecond, is of an hour ago at the latest."""
    return int(time.time() * 1000) - 3_600_000 - count
