"""Broker, topics and ClickHouse of a benchmark: the same for every variant."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from clickhouse_connect.driver.client import Client

from bench.environments import ROOT
from bench.processes import Process, free_port, wait_until
from bench.workload import Counts, Record
from postloop.adapters import migrations, topic_admin
from postloop.adapters.clickhouse import connect, translated
from postloop.domain.errors import PostloopError
from postloop.domain.event_types import topic_name
from postloop.embedded.broker import broker_command
from postloop.embedded.ports import is_listening
from postloop.settings import Settings

PREFIX: Final = "bench."
_BATCH_BYTES: Final = 512 * 1024


class Addressed(NamedTuple):
    """One record and where it goes; the topic carries its prefix."""

    topic: str
    partition: int
    key: bytes
    value: bytes


def clean_environment() -> dict[str, str]:
    """Return our environment without settings of Postloop, with the sources importable."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLOOP_")}
    paths = [str(ROOT), *(str(ROOT / part) for part in ("src", "streams", "schemas"))]
    return env | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@contextmanager
def broker(directory: Path, *, partitions: int) -> Iterator[str]:
    """Run the embedded broker with the project's topics; yield its HOST:PORT."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    with Process(broker_command(port), log_path=directory / "broker.log") as process:
        wait_until(lambda: is_listening("127.0.0.1", port), what="the broker", process=process)
        settings = Settings(
            _env_file=None,
            kafka_brokers=address,
            topic_prefix=PREFIX,
            topic_partitions=partitions,
            data_dir=directory,
        )
        topic_admin.create_topics(settings)
        yield address


def load(
    brokers: str, records: Iterable[Record], *, partitions: int, on_record: Callable[[Record], None]
) -> None:
    """Produce the records, in order, in large batches."""

    def placed() -> Iterator[Addressed]:
        for record in records:
            on_record(record)
            yield addressed(record)

    append(brokers, placed())


def addressed(record: Record) -> Addressed:
    """Return a record of the workload with the name of its topic on the broker."""
    topic = topic_name(record.event_type, prefix=PREFIX)
    return Addressed(topic, record.partition, record.key, record.value)


def append(brokers: str, records: Iterable[Addressed]) -> None:
    """Append records to their partitions, in order, in large batches; return when the broker has all."""
    asyncio.run(_append(brokers, records))


async def _append(brokers: str, records: Iterable[Addressed]) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers, acks="all", max_batch_size=_BATCH_BYTES, request_timeout_ms=60_000
    )
    await producer.start()
    try:
        open_batches: defaultdict[tuple[str, int], Any] = defaultdict(producer.create_batch)
        for record in records:
            place = record.topic, record.partition
            stamp_ms = int(time.time() * 1000)
            if open_batches[place].append(key=record.key, value=record.value, timestamp=stamp_ms) is None:
                await _send(producer, place, open_batches.pop(place))
                open_batches[place].append(key=record.key, value=record.value, timestamp=stamp_ms)
        for place, batch in open_batches.items():
            await _send(producer, place, batch)
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, place: tuple[str, int], batch: Any) -> None:
    topic, partition = place
    await (await producer.send_batch(batch, topic, partition=partition))


class Store:
    """A running ClickHouse server with the project's tables and views."""

    def __init__(self, process: Process, settings: Settings) -> None:
        self.process = process
        self.port = int(settings.clickhouse_url.rpartition(":")[2])
        self.client: Client = connect(settings)

    def row_count(self) -> int:
        """Return how many raw rows can be seen."""
        return self._one("SELECT count() FROM events")

    def counts(self) -> Counts:
        """Return the numbers that must be equal for every variant.

        Unique opens are counted exactly from the raw rows; the sketches must say the same within 2 %.
        """
        dead = self._one("SELECT count() FROM dead_letters FINAL")
        events = self._one("SELECT sum(event_count) FROM rollup_minute WHERE cube = 'domain'")
        exact = self._one("SELECT uniqExact(message_id, recipient) FROM events WHERE event_type = 'open'")
        sketch = self._one("SELECT uniqCombined64Merge(opens) FROM rollup_minute WHERE cube = 'domain'")
        opens = exact if abs(exact - sketch) <= max(2, exact * 0.02) else sketch
        return Counts(rows=self.row_count(), dead_letters=dead, rollup_events=events, unique_opens=opens)

    def _one(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a query."""
        with translated("ClickHouse"):
            rows: Sequence[Sequence[Any]] = self.client.query(sql).result_rows
        return rows


def data_directory(directory: Path) -> Path:
    """Return where a server that runs on `directory` keeps its data."""
    return directory / "clickhouse"


@contextmanager
def clickhouse(directory: Path) -> Iterator[Store]:
    """Run the embedded ClickHouse server on a directory, new or copied, migrated."""
    port = free_port()
    argv = [sys.executable, "-m", "postloop.embedded.chserver", "--path", str(data_directory(directory))]
    settings = Settings(
        _env_file=None,
        clickhouse_url=f"http://127.0.0.1:{port}",
        data_dir=directory,
    )
    process = Process(
        [*argv, "--port", str(port)],
        log_path=directory / "clickhouse.log",
        env=clean_environment(),
        cwd=directory,
    )
    with process:
        wait_until(lambda: _answers(settings, port), what="the ClickHouse server", process=process)
        migrations.apply(connect(settings), settings)
        store = Store(process, settings)
        yield store
        process.stop()


def _answers(settings: Settings, port: int) -> bool:
    if not is_listening("127.0.0.1", port):
        return False
    try:
        connect(settings, timeout_s=5).query("SELECT 1")
    except PostloopError:
        return False
    return True
