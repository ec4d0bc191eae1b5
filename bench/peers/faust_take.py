"""Stock Faust with take(): one agent per topic, each batch validated and stored before the next is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.peers.common import Place, Sink, check_many, job
from bench.peers.faust_base import make_app, place_of, raw_topic, run
from postloop.domain.event_types import EventType

_TAKE = 5_000
_WITHIN_S = 0.5


def main() -> None:
    """Run until a signal."""
    at = job()
    app, sink = make_app(at, buffer_records=20_000), Sink(at)

    def agent_of(topic: str, kind: EventType) -> None:
        async def record(stream: Any) -> None:
            async for events in stream.take_events(_TAKE, within=_WITHIN_S):
                places = [Place(*place_of(event)) for event in events]
                rows = check_many(kind, [event.value for event in events], places)
                await asyncio.to_thread(sink.store, kind, rows)

        app.agent(raw_topic(app, topic), name=kind)(record)

    for topic, kind in at.topics.items():
        agent_of(topic, kind)
    run(app)


if __name__ == "__main__":
    main()
