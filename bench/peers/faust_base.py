"""The app of both stock Faust peers: Faust's own transport, and the settings that help it."""

from __future__ import annotations

from typing import Any

import faust

from bench.peers.common import SESSION_TIMEOUT_MS, Job


def make_app(at: Job, *, buffer_records: int) -> faust.App:
    """Return an app that reads from the beginning."""
    app = faust.App(
        at.group,
        broker=f"kafka://{at.brokers}",
        store="memory://",
        datadir=str(at.data_dir),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_TIMEOUT_MS / 1000,
        broker_heartbeat_interval=SESSION_TIMEOUT_MS / 4000,
        broker_max_poll_records=5_000,
        broker_check_crcs=False,
        stream_buffer_maxsize=buffer_records,
    )

    async def note_start(sender: Any, assigned: set[Any], **_: Any) -> None:
        at.note_start()

    app.on_partitions_assigned.connect(note_start, weak=False)
    return app


def raw_topic(app: faust.App, name: str) -> faust.TopicT:
    """Return a topic whose values are bytes."""
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def run(app: faust.App) -> None:
    """Run the worker until a signal."""
    faust.Worker(app, loglevel="error", quiet=True).execute_from_commandline()


def place_of(event: faust.EventT) -> tuple[str, int, int, int]:
    """Return topic, partition, offset and timestamp in ms of an event."""
    message = event.message
    return message.topic, message.partition, message.offset, round(message.timestamp * 1000)
