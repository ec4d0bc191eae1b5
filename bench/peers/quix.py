"""Quix Streams: one dataframe per topic, validated record by record, a BatchingSink written at each checkpoint."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from bench.peers.common import BATCH_ROWS, SESSION_TIMEOUT_MS, Place, Rows, Sink, check_one, job
from postloop.domain.event_types import EventType

_COMMIT_EVERY_S = 1.0


class ClickHouseSink(BatchingSink):
    """Stores what a checkpoint holds of one topic partition."""

    def __init__(self, kind: EventType, sink: Sink) -> None:
        super().__init__()
        self._kind = kind
        self._sink = sink

    def write(self, batch: SinkBatch) -> None:
        """Insert one batch."""
        rows = Rows()
        for item in batch:
            rows.add(Place(batch.topic, batch.partition, item.offset, item.timestamp), item.value)
        self._sink.store(self._kind, rows)


def main() -> None:
    """Run until a signal."""
    at = job()
    sink = Sink(at)
    app = Application(
        broker_address=at.brokers,
        consumer_group=at.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=_COMMIT_EVERY_S,
        commit_every=BATCH_ROWS,
        state_dir=str(at.data_dir),
        loglevel="ERROR",
        consumer_extra_config={"session.timeout.ms": SESSION_TIMEOUT_MS},
    )
    seen: list[bool] = []

    def frame_of(topic: str, kind: EventType) -> None:
        def check(value: bytes) -> Any:
            if not seen:
                seen.append(True)
                at.note_start()
            return check_one(kind, value)

        frame = app.dataframe(app.topic(topic, value_deserializer="bytes", key_deserializer="bytes"))
        frame.apply(check).sink(ClickHouseSink(kind, sink))

    for topic, kind in at.topics.items():
        frame_of(topic, kind)
    app.run()


if __name__ == "__main__":
    main()
