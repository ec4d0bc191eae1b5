"""A hundred endpoints under steady load, without and with one that never answers: how long do the others wait?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import stack
from bench.blocklist.throughput import PARTITIONS
from bench.latency import Latency, summarize
from bench.steady import Placed, steady_load
from bench.webhooks.place import add_endpoints, bounces, number_of, webhooks_worker
from bench.webhooks.receiver import receiving
from bench.worker import Place

_WARM_UP_S: Final = 5
_LOOK_S: Final = 0.2
_LAST_S: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """Milliseconds from the event to its arrival at an endpoint that answers. Warm-up is left out.

    Attributes:
        hanging: Endpoints that never answer.
        attempts_of_hanging: Requests that those were sent.
    """

    hanging: int
    healthy: Latency
    attempts_of_hanging: int


def measure_isolation(
    endpoints: int, rate_per_s: int, seconds: int, directory: Path, *, hanging: int
) -> Iterator[Isolation]:
    """Yield the latencies without endpoints that hang and with them, each with a worker of its own.

    Raises:
        BenchError: A worker ended, or what was due did not arrive.
    """
    for count in (0, hanging):
        own = directory / f"hanging-{count}"
        own.mkdir()
        yield _measured(endpoints, rate_per_s, seconds, own, hanging=count)


def _measured(endpoints: int, rate_per_s: int, seconds: int, directory: Path, *, hanging: int) -> Isolation:
    warm_up = _WARM_UP_S * rate_per_s
    count = warm_up + seconds * rate_per_s
    with (
        stack.broker(directory, partitions=PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        receiving() as receiver,
    ):
        paths = [f"/{'hang' if number < hanging else 'ok'}/{number}" for number in range(endpoints)]
        add_endpoints(brokers, directory, [receiver.url(path) for path in paths])
        place = Place.new(brokers, store.port, directory)
        with webhooks_worker(place) as worker:
            produced: dict[int, float] = {}

            def note(placed: Placed) -> None:
                produced[placed.number] = placed.at

            records = list(bounces("steady", count, accounts=endpoints, at=datetime.now(UTC)))
            with steady_load(records, brokers=brokers, rate_per_s=rate_per_s, on_placed=note) as load:
                while not load.is_over:
                    time.sleep(_LOOK_S)
                load.finish()
            due = {number for number in range(count) if number % endpoints >= hanging}
            worker.wait(
                lambda: (
                    receiver.count() >= len(due)
                    and due <= {number_of(one.event_id) for one in receiver.arrivals()}
                ),
                what="the deliveries",
                timeout_s=_LAST_S,
            )
            arrived = receiver.arrivals()
    first: dict[int, float] = {}
    for one in arrived:
        first.setdefault(number_of(one.event_id), one.at)
    waits = [(first[number] - produced[number]) * 1000 for number in due if number >= warm_up]
    return Isolation(
        hanging=hanging,
        healthy=summarize(waits),
        attempts_of_hanging=sum(one.path.startswith("/hang") for one in arrived),
    )
