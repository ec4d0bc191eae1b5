"""Stock Faust, one agent per topic that sees one event at a time; rows are flushed by count or every second.

An event is acked when the agent goes on to the next one, which is before its row is stored.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bench.peers.common import BATCH_ROWS, Place, Rows, Sink, check_one, job
from bench.peers.faust_base import make_app, place_of, raw_topic, run
from postloop.domain.event_types import EventType


def main() -> None:
    """Run until a signal."""
    at = job()
    app, sink = make_app(at, buffer_records=4096), Sink(at)
    waiting: dict[EventType, Rows] = {kind: Rows() for kind in at.topics.values()}
    one_flush = asyncio.Lock()

    async def flush(kind: EventType) -> None:
        async with one_flush:
            rows, waiting[kind] = waiting[kind], Rows()
            await asyncio.to_thread(sink.store, kind, rows)

    def agent_of(topic: str, kind: EventType) -> None:
        async def validate(stream: Any) -> None:
            async for event in stream.events():
                waiting[kind].add(Place(*place_of(event)), check_one(kind, event.value))
                if len(waiting[kind]) >= BATCH_ROWS:
                    await flush(kind)

        app.agent(raw_topic(app, topic), name=kind)(validate)

    for topic, kind in at.topics.items():
        agent_of(topic, kind)

    @app.timer(1.0)
    async def tick() -> None:
        for kind in waiting:
            if waiting[kind]:
                await flush(kind)

    run(app)


if __name__ == "__main__":
    main()
