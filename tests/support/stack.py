"""A broker, a ClickHouse server and recorders as real processes, which a test may kill, freeze and cut off."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clickhouse_connect.driver.client import Client
from kafka import KafkaProducer

from postloop.adapters import topic_admin
from postloop.adapters.clickhouse import connect, translated
from postloop.adapters.errors import UnavailableError
from postloop.domain.errors import PostloopError
from postloop.settings import Settings
from tests.support.brokers import Broker
from tests.support.database import clickhouse_server, copy_migrated
from tests.support.ports import free_port
from tests.support.processes import ChildProcess, wait_until
from tests.support.workers import says_ready, start_worker

TOPICS = ("email.send", "email.delivery", "email.open", "email.bounce")


def rounds(short: int, long: int) -> int:
    """Return how often a test repeats its fault, or how fast events come: `make test-long` sets POSTLOOP_TEST_LONG."""
    return long if os.environ.get("POSTLOOP_TEST_LONG") else short


def seeded(name: str) -> random.Random:
    """Return a random generator whose seed is printed, so that a failure can be repeated."""
    seed = int(os.environ.get("POSTLOOP_TEST_SEED", "0")) or random.randrange(1, 10**6)
    print(f"{name}: POSTLOOP_TEST_SEED={seed}")
    return random.Random(seed)


class Stack:
    """ClickHouse and recorders around a broker. Use as a context manager: it leaves no process behind."""

    def __init__(
        self, broker: Broker, *, prefix: str, directory: Path, partitions: int = 2, **settings: Any
    ) -> None:
        self.broker = broker
        self.directory = directory
        self.clickhouse_port = free_port()
        self._values = {
            "kafka_brokers": broker.bootstrap,
            "topic_prefix": prefix,
            "group_prefix": prefix + "postloop",
            "topic_partitions": partitions,
            "clickhouse_url": f"http://127.0.0.1:{self.clickhouse_port}",
            "session_timeout": "6s",
            "insert_timeout": "4s",
            "linger": "150ms",  # the embedded server spends a tenth of a second on an insert, however small
            "log_format": "json",
            "data_dir": str(directory / "data"),
            **{name: str(value) for name, value in settings.items()},
        }
        self.settings = Settings(**self._values)
        self.clickhouse = clickhouse_server(directory / "clickhouse", self.clickhouse_port)
        self.recorders: dict[str, ChildProcess] = {}
        self.health_ports: dict[str, int] = {}
        self._client: Client | None = None

    def __enter__(self) -> Self:
        copy_migrated(self.directory / "clickhouse")
        self.start_clickhouse()
        topic_admin.create_topics(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in [*self.recorders.values(), self.clickhouse]:
            process.send(signal.SIGCONT)
            process.kill_session()
        if error is not None:
            for process in [*self.recorders.values(), self.clickhouse]:
                print(process.log_tail(30))

    # -- processes ---------------------------------------------------------------------------------------------

    def start_clickhouse(self) -> None:
        """Start the server and wait until it answers."""
        self.clickhouse.start()
        wait_until(self.answers, timeout_s=30, what="ClickHouse to answer", process=self.clickhouse)

    def answers(self) -> bool:
        """Return whether ClickHouse answers a query."""
        try:
            connect(self.settings, timeout_s=5).query("SELECT 1")
        except PostloopError:
            return False
        return True

    def start_recorder(self, name: str = "a", *, ready: bool = False, **settings: Any) -> ChildProcess:
        """Start a recorder (again), maybe at another address of ClickHouse; wait for it to be ready when told."""
        log_path = self.directory / f"recorder-{name}.log"
        process, port = start_worker("recorder", {**self._values, **settings}, log_path=log_path)
        self.recorders[name], self.health_ports[name] = process, port
        if ready:
            wait_until(lambda: self.is_ready(name), timeout_s=60, what=f"recorder {name}", process=process)
        return process

    def is_ready(self, name: str = "a") -> bool:
        """Return whether a recorder says that it is ready."""
        return says_ready(self.health_ports[name])

    # -- what was stored ---------------------------------------------------------------------------------------

    def one(self, sql: str, **parameters: Any) -> Any:
        """Return the only value of a query."""
        return self._query(sql, **parameters)[0][0]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self._query(sql)]

    def _query(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        # One client for all questions: a new one asks the server for its settings, which costs five times the question.
        if self._client is None:
            self._client = connect(self.settings)
        with translated("ClickHouse"):
            return self._client.query(sql, parameters=parameters).result_rows

    def stored_count(self) -> int:
        """Return the number of raw rows; -1 while ClickHouse is away."""
        try:
            return int(self.one("SELECT count() FROM events"))
        except UnavailableError:
            return -1

    def wait_stored(self, count: int, *, timeout_s: float = 120) -> None:
        """Wait until at least so many raw rows are stored."""
        wait_until(
            lambda: self.stored_count() >= count,
            timeout_s=timeout_s,
            what=f"{count} rows (there are {self.stored_count()})",
            process=next(iter(self.recorders.values()), None),
            poll_s=0.2,
        )

    def assert_exact(self, traffic: Traffic) -> None:
        """Assert that every event is stored once and counted once, in raw rows and in both rollups."""
        self.wait_stored(len(traffic.events))
        raw = Counter(dict(self.rows("SELECT event_id, count() FROM events GROUP BY event_id")))
        expected = Counter(event["event_id"] for event in traffic.events)
        missing, double = len(expected - raw), len(raw - expected)
        assert (missing, double) == (0, 0)
        # A raw row can be seen a moment before its rollups; a comparison that was queued may still be due.
        wait_until(lambda: not self._open_checks(), timeout_s=60, what="the queued hours to be compared")
        for table, form in (("rollup_minute", "%Y-%m-%d %H:%M"), ("rollup_hour", "%Y-%m-%d %H:00")):
            wanted, deadline = traffic.counts(form), time.monotonic() + 10
            while self._counted(table) != wanted and time.monotonic() < deadline:
                time.sleep(0.2)
            assert self._counted(table) == wanted, table

    def _open_checks(self) -> int:
        pending = "SELECT hour, queued_at FROM reconcile_queue GROUP BY hour, queued_at HAVING max(done) = 0"
        return int(self.one(f"SELECT count() FROM ({pending})"))

    def _counted(self, table: str) -> dict[tuple[str, str], int]:
        sql = (
            "SELECT sender_domain, formatDateTime(bucket, '%Y-%m-%d %H:%i'), sum(event_count) AS n "
            f"FROM {table} WHERE cube = 'domain' GROUP BY 1, 2 HAVING n != 0"
        )
        return {(domain, bucket): n for domain, bucket, n in self.rows(sql)}


class Traffic:
    """Events that were produced, and a thread that produces more at a steady rate."""

    def __init__(self, stack: Stack, rng: random.Random, *, repeat_share: float = 0.02) -> None:
        self._stack = stack
        self._rng = rng
        self._repeat_share = repeat_share
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.events: list[dict[str, Any]] = []

    def counts(self, form: str) -> dict[tuple[str, str], int]:
        """Return how many events a sender domain has in each bucket."""
        return dict(
            Counter(
                (e["sender_domain"], datetime.fromisoformat(e["occurred_at"]).strftime(form))
                for e in self.events
            )
        )

    def produce(self, count: int, *, per_second: float = 0) -> None:
        """Produce events and wait until the broker acknowledged them."""
        producer = KafkaProducer(
            bootstrap_servers=self._stack.settings.broker_list, acks="all", linger_ms=50, retries=20
        )
        futures = []
        try:
            for number in range(count):
                if self._stopping.is_set():
                    break
                futures.append(self._send(producer, self._next()))
                if per_second and number % 20 == 19:
                    time.sleep(20 / per_second)
            producer.flush(timeout=60)
            for future in futures:
                future.get(timeout=60)
        finally:
            producer.close()

    def _next(self) -> dict[str, Any]:
        rng = self._rng
        # Late events fall into buckets of hours and days ago, and into partitions of other months.
        late = (
            timedelta(hours=rng.choice([1, 26, 300, 800]))
            if rng.random() < 0.02
            else timedelta(seconds=rng.randrange(90))
        )
        event = {
            "event_id": f"{rng.getrandbits(64):016x}-{len(self.events)}",
            "occurred_at": (datetime.now(UTC) - late).isoformat(),
            "account_id": f"acc{rng.randrange(3)}",
            "message_id": f"m{len(self.events)}",
            "sender_domain": f"d{min(rng.randrange(20), rng.randrange(20))}.example",
            "recipient": f"user{rng.randrange(10_000)}@gmail.com",
            "mail_class": rng.choice(["transactional", "marketing"]),
        }
        self.events.append(event)
        return event

    def _send(self, producer: KafkaProducer, event: dict[str, Any]) -> Any:
        topic = self._stack.settings.topic_prefix + self._rng.choice(TOPICS)
        key, value = event["recipient"].encode(), json.dumps(event).encode()
        future = producer.send(topic, value, key=key)
        if self._rng.random() < self._repeat_share:
            future = producer.send(topic, value, key=key)
        return future

    def start(self, *, per_second: float) -> Traffic:
        """Produce in the background until `stop`."""

        def work() -> None:
            try:
                self.produce(10**9, per_second=per_second)
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop producing; every event in `events` is then acknowledged by the broker."""
        self._stopping.set()
        assert self._thread is not None
        self._thread.join(timeout=120)
        assert not self._thread.is_alive(), "the producer hangs"
        if self._error is not None:
            raise self._error
