"""A Faust app on the batch transport with every kind of agent: `python -m tests.support.mixed_app BROKER PREFIX OUT`.

It counts what each agent saw and writes the counts to OUT.json after every second and at the end. The table
`seen` counts the values of the ordinary topic, so that its recovery can be compared.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import faust

from postloop_streams.transport import SCHEME, BatchTopic, ack


def main(broker: str, prefix: str, out: str, *, scheme: str = SCHEME, standbys: int = 0) -> None:
    path = Path(out)
    app = faust.App(
        f"{prefix}mixed",
        broker=f"{scheme}://{broker}",
        store="memory://",
        datadir=str(path.with_suffix(".data")),
        web_enabled=False,
        topic_allow_declare=True,
        topic_replication_factor=1,
        topic_partitions=2,
        topic_disable_leader=True,
        broker_session_timeout=6,
        broker_heartbeat_interval=2,
        broker_commit_interval=0.5,
        broker_max_poll_records=200,
        consumer_auto_offset_reset="earliest",
        table_standby_replicas=standbys,
    )
    raw: dict[str, Any] = {"value_serializer": "raw", "key_serializer": "raw"}
    batches, singles, both_batches, both_singles = (
        Counter[str](),
        Counter[str](),
        Counter[str](),
        Counter[str](),
    )
    sizes: list[int] = []
    ticks = [0]
    seen = app.Table("seen", default=int, partitions=2)

    @app.agent(BatchTopic(app, topics=[prefix + "batch"], **raw), name="batch")
    async def batch(stream: Any) -> None:
        async for event in stream.noack().events():
            sizes.append(len(event.value))
            batches.update(record.value.decode() for record in event.value.records)
            ack(event)

    @app.agent(app.topic(prefix + "single", value_type=bytes, key_type=bytes, **raw), name="single")
    async def single(stream: Any) -> None:
        async for value in stream:
            singles[value.decode()] += 1
            seen[value.decode()] += 1

    @app.agent(BatchTopic(app, topics=[prefix + "both"], **raw), name="both_batch")
    async def both_batch(stream: Any) -> None:
        async for event in stream.noack().events():
            both_batches.update(record.value.decode() for record in event.value.records)
            ack(event)

    @app.agent(app.topic(prefix + "both", value_type=bytes, key_type=bytes, **raw), name="both_single")
    async def both_single(stream: Any) -> None:
        async for value in stream:
            both_singles[value.decode()] += 1

    @app.timer(0.2)
    async def tick() -> None:
        ticks[0] += 1

    @app.task
    async def report() -> None:
        while not app.should_stop:
            await asyncio.sleep(0.5)
            committed = {
                f"{tp.topic.removeprefix(prefix)}-{tp.partition}": o
                for tp, o in app.consumer._committed_offset.items()
            }
            counts = {
                "batch": batches,
                "single": singles,
                "both_batch": both_batches,
                "both_single": both_singles,
                "largest_batch": max(sizes, default=0),
                "table": dict(seen.items()),
                "ticks": ticks[0],
                "committed": committed,
                "assigned": sorted(
                    f"{tp.topic.removeprefix(prefix)}-{tp.partition}" for tp in app.consumer.assignment()
                ),
            }
            path.with_suffix(".new").write_text(json.dumps(counts))
            path.with_suffix(".new").replace(path)

    worker = faust.Worker(app, loglevel="info", quiet=True)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:4], scheme=sys.argv[4] if len(sys.argv) > 4 else SCHEME)
