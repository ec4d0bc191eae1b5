"""Bytewax: Kafka source, validation by map, collect per event type, a sink that inserts. No recovery store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.peers.common import BATCH_ROWS, Place, Rows, Sink, check_one, job

_COLLECT_WITHIN = timedelta(seconds=1)
_FETCH_RECORDS = 5_000


class Part(StatelessSinkPartition):
    """Inserts the batches that reach this worker."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write_batch(self, items: list[Any]) -> None:
        """Insert collected batches."""
        for kind, checked in items:
            rows = Rows()
            for place, event in checked:
                rows.add(place, event)
            self._sink.store(kind, rows)


class ClickHouseSink(DynamicSink):
    """One part per worker."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Part:
        """Return the part of a worker."""
        return Part(self._sink)


def flow_of() -> Dataflow:
    """Return the dataflow."""
    at = job()
    seen: list[bool] = []

    def check(message: Any) -> Any:
        if not seen:
            seen.append(True)
            at.note_start()
        kind = at.topics[message.topic]
        timestamp_ms = message.timestamp[1] if isinstance(message.timestamp, tuple) else message.timestamp
        place = Place(message.topic, message.partition, message.offset, timestamp_ms)
        return kind, (place, check_one(kind, message.value))

    flow = Dataflow("mail")
    source = KafkaSource([at.brokers], list(at.topics), tail=True, batch_size=_FETCH_RECORDS)
    checked = op.map("check", op.input("kafka", flow, source), check)
    batches = op.collect("collect", checked, timeout=_COLLECT_WITHIN, max_size=BATCH_ROWS)
    op.output("clickhouse", batches, ClickHouseSink(Sink(at)))
    return flow


if __name__ == "__main__":
    run_main(flow_of())
