"""What the batch transport overrides in Faust and aiokafka is still what it was written against.

These are private names. An upgrade that changes one of them must be looked at by a person: read the new source,
adapt the transport, run the suites that kill and freeze workers, and only then change this file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiokafka.consumer.fetcher as fetcher
import aiokafka.consumer.group_coordinator as coordinator
import faust.app.base as app
import faust.streams as streams
import faust.tables.recovery as recovery
import faust.topics as topics
import faust.transport.conductor as conductor
import faust.transport.consumer as consumer
import faust.transport.drivers as drivers
import faust.transport.drivers.aiokafka as driver
import faust.worker as worker
import mode.threads as threads
import pytest

from postloop.domain.event_types import INPUT_TOPICS
from postloop.settings import Settings
from postloop_streams.app import create_app
from postloop_streams.transport import SCHEME, Consumer, ConsumerThread, Transport


def fingerprint(function: Callable[..., Any]) -> str:
    """Return a short hash of a function's source, blind to white space at line ends."""
    lines = [line.rstrip() for line in inspect.getsource(function).splitlines()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


FINGERPRINTS: dict[str, tuple[Callable[..., Any], str]] = {
    "the fetch loop that is replaced": (consumer.Consumer._drain_messages, "35808b82ae2f"),
    "its source of records": (consumer.Consumer.getmany, "f6b31e4d8a43"),
    "waiting for records": (consumer.Consumer._wait_next_records, "60471ba3e5b5"),
    "acks": (consumer.Consumer.ack, "2f4c7eb08844"),
    "which partitions have acks": (consumer.Consumer._filter_tps_with_pending_acks, "6c07b08acc52"),
    "what may be committed": (consumer.Consumer._filter_committable_offsets, "bd89563ac3fa"),
    "whether it is committed": (consumer.Consumer._should_commit, "520c720e6b58"),
    "the commit": (consumer.Consumer._commit_offsets, "e2ab6185fcf7"),
    "revocation": (consumer.Consumer.on_partitions_revoked, "a5895d184761"),
    "assignment": (consumer.Consumer.on_partitions_assigned, "a3675f410ac7"),
    "seeking back": (consumer.Consumer.perform_seek, "d98522034ac0"),
    "the worker's consumer": (driver.AIOKafkaConsumerThread._create_worker_consumer, "76133d134b46"),
    "the commit of the driver": (driver.AIOKafkaConsumerThread._commit, "3ba4061c722f"),
    "decoding": (topics.Topic._compile_decode, "14f58fc5d74a"),
    "delivery to channels": (conductor.ConductorCompiler.build, "d8a7a7526ea3"),
    "what streams skip and ack": (streams.Stream._py_aiter, "beb88b40ccd3"),
    "seeking after table recovery": (recovery.Recovery.on_recovery_completed, "cd8604c016ec"),
    "resuming after a rebalance": (recovery.Recovery._resume_streams, "12032bac421b"),
    "the start of the consumer": (driver.AIOKafkaConsumerThread.on_start, "cf944d7f5225"),
    "requests to the coordinator": (coordinator.GroupCoordinator._send_req, "dc8860a28835"),
    "what was committed": (coordinator.GroupCoordinator.fetch_committed_offsets, "e96cd0a121a1"),
    "joining": (coordinator.CoordinatorGroupRebalance._send_sync_group_request, "4676545122fc"),
    "the thread's start": (threads.ServiceThread.start, "d2e545201011"),
    "the thread's stop": (threads.ServiceThread.stop, "cae6679ed737"),
    "the end of the thread": (threads.ServiceThread._serve, "50de58629b1d"),
    "the queue of its calls": (threads.QueueServiceThread.on_thread_stop, "f4463852e658"),
    "the end of the consumer": (driver.AIOKafkaConsumerThread.on_thread_stop, "a31dc0dd0861"),
    "the consumer closed by Faust": (driver.AIOKafkaConsumerThread.close, "eb6b9fdefce5"),
    "who calls that": (app.App._on_rebalance_when_stopped, "a09d493396ef"),
    "a rebalance while stopping": (app.App._on_partitions_assigned, "898c6194a3a4"),
    "leaving the group": (coordinator.GroupCoordinator.close, "50a2f507244f"),
    "partitions that stand still": (driver.AIOKafkaConsumerThread.verify_event_path, "61cc340dbba8"),
    "fetches, one at a time of each broker": (fetcher.Fetcher._fetch_requests_routine, "adce62b6fc7b"),
    "the fetch": (fetcher.Fetcher._proc_fetch_request, "9116b6453572"),
    "the name of the process": (worker.Worker._setproctitle, "af6af88936e6"),
    "heartbeats": (coordinator.GroupCoordinator._do_heartbeat, "0fdf1386079b"),
}


@pytest.mark.parametrize("what", FINGERPRINTS)
def test_what_the_transport_relies_on_is_unchanged(what: str) -> None:
    function, expected = FINGERPRINTS[what]
    assert fingerprint(function) == expected, f"{function.__qualname__} changed: see the top of this file"


def test_faust_has_the_version_that_was_read() -> None:
    assert importlib.metadata.version("faust-streaming") == "0.15.3"


def test_the_scheme_is_found_by_its_entry_point() -> None:
    assert drivers.by_url(f"{SCHEME}://127.0.0.1:9092") is Transport
    assert Transport.Consumer is Consumer


def test_every_override_overrides_something() -> None:
    ours = {name for name, value in vars(Consumer).items() if inspect.isfunction(value)}
    own = {"_forget", "_takes_batches", "_deliver", "_deliver_batch", "_commit_when_due", "_deliver_singles"}
    own |= {
        "commit_stored",
        "_epoch",
        "_is_stale",
        "_drain_once",
        "_deliver_fetched",
        "_seek_back",
        "_behind_count",
    }
    assert {name for name in ours - own if not hasattr(driver.Consumer, name)} == set()
    ours = {name for name, value in vars(ConsumerThread).items() if inspect.isfunction(value)}
    assert {
        name
        for name in ours - {"_pause_fetches", "_pause_left_s"}
        if not hasattr(driver.AIOKafkaConsumerThread, name)
    } == set()


def test_partitions_without_news_are_no_errors(tmp_path: Path) -> None:
    # Faust says for each of them that it hangs: after five minutes without an event, after ten without a commit.
    made = create_app(Settings(_env_file=None), role="recorder", data_dir=tmp_path)
    a_month_s = 30 * 86_400
    assert made.conf.stream_processing_timeout > a_month_s
    assert made.conf.broker_commit_livelock_soft_timeout > a_month_s


@pytest.mark.parametrize("workers", [2, 3])
def test_partitions_of_one_number_are_one_workers_whatever_their_topic(tmp_path: Path, workers: int) -> None:
    # The deliveries that a recorder remembers are those of the opens it stores (docs/decisions/0013-opens-at-once.md).
    assignor = create_app(Settings(_env_file=None), role="recorder", data_dir=tmp_path).assignor
    cluster = SimpleNamespace(partitions_for_topic=lambda _: set(range(8)))
    members = {f"worker-{number}": assignor.metadata(set(INPUT_TOPICS.values())) for number in range(workers)}
    owners = defaultdict[int, set[str]](set)
    owned = Counter[str]()
    for name, told in assignor.assign(cluster, members).items():
        for _, partitions in told.assignment:
            owned[name] += len(partitions)
            for partition in partitions:
                owners[partition].add(name)
    assert owned.total() == 8 * len(INPUT_TOPICS) and len(owned) == workers
    assert [len(owners[partition]) for partition in range(8)] == [1] * 8
