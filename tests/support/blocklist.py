"""Blocklist workers as real processes on a broker and a database of their own, and what they published."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from postloop.adapters import topic_admin
from postloop.adapters.command_channel import CommandChannel
from postloop.contracts.blocklist import BlocklistCommandV1, BlocklistReplyV1
from postloop.settings import Settings
from tests.support.brokers import Broker
from tests.support.command_line import run_postloop
from tests.support.database import Database, migrated_database
from tests.support.processes import ChildProcess, wait_until
from tests.support.workers import says_ready, start_worker

HARD = {
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "diagnostic": "550 5.1.1 no such user",
    "smtp_command": "RCPT",
}
FULL = {
    "smtp_code": 452,
    "enhanced_code": "4.2.2",
    "diagnostic": "452 4.2.2 mailbox full",
    "smtp_command": "RCPT",
}
SPAM = {"smtp_code": 550, "enhanced_code": "5.7.1", "diagnostic": "550 5.7.1 Message rejected as spam"}


class BlocklistStack:
    """Topics and a database, and workers of the role. Use as a context manager: it leaves no process behind."""

    role = "blocklist"
    # A file: the workers' machine has another time, see `clocked_worker`.
    clock: Path | None = None

    def __init__(
        self,
        broker: Broker,
        *,
        directory: Path,
        prefix: str = "",
        database: Database | None = None,
        partitions: int = 2,
        **settings: Any,
    ) -> None:
        self.prefix = prefix or f"t{uuid.uuid4().hex[:10]}."
        self.directory = directory
        self.database = database or migrated_database()
        self._values = {
            "kafka_brokers": broker.bootstrap,
            "topic_prefix": self.prefix,
            "group_prefix": self.prefix + "postloop",
            "topic_partitions": str(partitions),
            "clickhouse_url": self.database.settings.clickhouse_url,
            "clickhouse_database": self.database.name,
            "session_timeout": "6s",
            "insert_timeout": "4s",
            "log_format": "json",
            **{name: str(value) for name, value in settings.items()},
        }
        self.settings = Settings(**self._values, data_dir=directory / "data")
        self.workers: dict[str, ChildProcess] = {}
        self._ports: dict[str, int] = {}
        self._producer: Any = None

    def __enter__(self) -> Self:
        topic_admin.create_topics(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.workers.values():
            process.send(signal.SIGCONT)
            process.kill_session()
            if error is not None:
                print(process.log_tail(30))
        if self._producer is not None:
            self._producer.close()

    def start(self, name: str = "a", *, ready: bool = True, **settings: Any) -> ChildProcess:
        """Start a worker (again), with its own files; wait for it to be ready unless told otherwise."""
        values = {**self._values, "data_dir": self.directory / name, **settings}
        log_path = self.directory / f"{self.role}-{name}.log"
        process, port = start_worker(self.role, values, log_path=log_path, clock=self.clock)
        self.workers[name], self._ports[name] = process, port
        if ready:
            wait_until(lambda: self.is_ready(name), timeout_s=60, what=f"worker {name}", process=process)
        return process

    def is_ready(self, name: str = "a") -> bool:
        """Return whether a worker says that it is ready."""
        return says_ready(self._ports[name])

    # -- what goes in ------------------------------------------------------------------------------------------

    def publish(self, kind: str, events: Iterable[dict[str, Any]]) -> None:
        """Publish events to an input topic and wait for the broker."""
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self.settings.broker_list, acks="all", linger_ms=5
            )
        topic = f"{self.prefix}email.{kind}"
        futures = [
            self._producer.send(topic, json.dumps(event).encode(), key=event["recipient"].encode())
            for event in events
        ]
        for future in futures:
            future.get(timeout=30)

    def send(self, topic: str, value: bytes | None, *, key: str, timestamp_ms: int | None = None) -> None:
        """Publish any bytes to any topic and wait for the broker."""
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self.settings.broker_list, acks="all", linger_ms=5
            )
        sent = self._producer.send(self.prefix + topic, value, key=key.encode(), timestamp_ms=timestamp_ms)
        sent.get(timeout=30)

    def ask(
        self, command: str, recipient: str, *, actor: str = "operator:eve", **fields: Any
    ) -> BlocklistReplyV1:
        """Send a command and return its answer."""
        kind, _, name = actor.partition(":")
        document = {
            "command_id": str(uuid.uuid4()),
            "command": command,
            "recipient": recipient,
            "actor": {"kind": kind, "id": name},
            "reason": "asked for",
            "requested_at": datetime.now(UTC).isoformat(),
            **fields,
        }
        with CommandChannel(self.settings) as channel:
            return channel.ask(BlocklistCommandV1.model_validate_json(json.dumps(document)))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `postloop ARGUMENTS` with the settings of this stack."""
        values = {**self._values, "data_dir": self.directory / "data"}
        env = {f"POSTLOOP_{name.upper()}": str(value) for name, value in values.items()}
        return run_postloop(*arguments, env={**os.environ, **env}, cwd=self.directory)

    # -- what comes out ----------------------------------------------------------------------------------------

    def records(self, topic: str) -> list[tuple[str, dict[str, Any] | None]]:
        """Return (key, document) of every record of an output topic, partition by partition."""
        name = self.prefix + topic
        consumer: Any = KafkaConsumer(
            bootstrap_servers=self.settings.broker_list,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            count = int(self._values["topic_partitions"])
            consumer.assign([TopicPartition(name, number) for number in range(count)])
            found: list[Any] = []
            empty = 0
            while empty < 3:  # the embedded broker does not tell where a log ends
                fetched = consumer.poll(timeout_ms=200)
                empty = 0 if fetched else empty + 1
                found += [record for records in fetched.values() for record in records]
        finally:
            consumer.close()
        return [
            (record.key.decode(), None if record.value is None else json.loads(record.value))
            for record in found
        ]

    def events(self, topic: str, recipient: str = "") -> list[dict[str, Any]]:
        """Return the documents of an output topic, of one recipient or all."""
        documents = [document for _, document in self.records(topic) if document is not None]
        return [d for d in documents if not recipient or d["recipient"] == recipient]

    def state(self) -> dict[str, dict[str, Any]]:
        """Return `blocklist.state` as a reader of the compacted topic sees it."""
        last = dict(self.records("blocklist.state"))
        return {key: document for key, document in last.items() if document is not None}

    def wait_events(
        self, topic: str, count: int, recipient: str = "", *, timeout_s: float = 30
    ) -> list[dict[str, Any]]:
        """Wait until an output topic holds so many events, and return them."""
        return self._wait(
            lambda: self.events(topic, recipient), count, f"{count} events on {topic}", timeout_s
        )

    def wait_rows(self, sql: str, count: int, *, timeout_s: float = 30) -> list[dict[str, Any]]:
        """Wait until a query returns so many rows, and return them."""
        return self._wait(lambda: self.database.query(sql), count, f"{count} rows of {sql}", timeout_s)

    def _wait(
        self, look: Callable[[], list[dict[str, Any]]], count: int, what: str, timeout_s: float
    ) -> list[dict[str, Any]]:
        deadline_s = time.monotonic() + timeout_s
        found = look()
        while len(found) < count and time.monotonic() < deadline_s:
            time.sleep(0.2)
            found = look()
        assert len(found) >= count, f"{what}: there are {len(found)}"
        return found


def event(recipient: str, *, age: timedelta = timedelta(), **fields: Any) -> dict[str, Any]:
    """Return an event that happened `age` ago."""
    number = uuid.uuid4().hex
    return {
        "event_id": number,
        "occurred_at": (datetime.now(UTC) - age).isoformat(),
        "account_id": "acme",
        "message_id": f"m-{number}",
        "sender_domain": "shop.example",
        "recipient": recipient,
        **fields,
    }


def address() -> str:
    """Return an address that no other test uses."""
    return f"user-{uuid.uuid4().hex[:12]}@gmail.com"
