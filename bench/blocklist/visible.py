"""From a hard bounce to the event of its block, and to the row that a query of the active entries finds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from bench import stack
from bench.blocklist.arrivals import Arrivals
from bench.blocklist.events import address, deliveries, hard_bounces
from bench.blocklist.throughput import PARTITIONS, READY_S, Say, nothing
from bench.latency import Latency, summarize
from bench.processes import BenchError
from bench.steady import Placed, steady_load
from bench.worker import Place, running
from bench.workload import Record
from postloop.domain.event_types import BLOCKLIST_INSERT_TOPIC

# So many addresses a second are looked for in ClickHouse, and so often: a query for all of them, or one at every
# moment, would be most of what is measured.
_PROBED_PER_S: Final = 20
_LOOK_S: Final = 0.1
_WARM_UP_S: Final = 3
_LAST_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Visible:
    """Milliseconds from the moment at which the bounce was given to its producer. Warm-up is left out."""

    published: Latency
    in_clickhouse: Latency


class Probes:
    """Addresses that are looked for in ClickHouse until they are found."""

    def __init__(self, store: stack.Store) -> None:
        self._store = store
        self.found: dict[str, float] = {}

    def look(self, recipients: Iterable[str]) -> None:
        """Note which of them block now, and when that was seen."""
        missing = [recipient for recipient in recipients if recipient not in self.found]
        if not missing:
            return
        rows = self._store.rows(
            f"SELECT recipient FROM v_blocklist_active WHERE recipient IN ({_quoted(missing)})"
        )
        at = time.time()
        for (recipient,) in rows:
            self.found.setdefault(recipient, at)


def _quoted(recipients: Iterable[str]) -> str:
    return ",".join(f"'{recipient}'" for recipient in recipients)


def measure_visible(
    rate_per_s: int, seconds: int, directory: Path, *, every: int = 1, say: Say = nothing
) -> Visible:
    """Produce events of addresses that differ at a steady rate, and watch the hard bounces among them become blocks.

    Args:
        every: So manieth event is a hard bounce, the others are deliveries.

    Raises:
        BenchError: Not all of them did.
    """
    with (
        stack.broker(directory, partitions=PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        running(Place.new(brokers, store.port, directory)) as worker,
        Arrivals(brokers, BLOCKLIST_INSERT_TOPIC, partitions=PARTITIONS) as arrivals,
    ):
        worker.wait_ready(timeout_s=READY_S)
        warm_up = _WARM_UP_S * rate_per_s // every
        count = (_WARM_UP_S + seconds) * rate_per_s // every
        probed_every = max(1, rate_per_s // every // _PROBED_PER_S)
        produced: dict[str, float] = {}
        probed: list[str] = []
        probes = Probes(store)

        def note(placed: Placed) -> None:
            number, rest = divmod(placed.number, every)
            if rest == 0:
                produced[address("new", number)] = placed.at
                if number % probed_every == 0:
                    probed.append(address("new", number))

        with steady_load(
            list(_mixed(count, every)), brokers=brokers, rate_per_s=rate_per_s, on_placed=note
        ) as load:
            deadline_s = time.monotonic() + seconds + _WARM_UP_S + _LAST_S
            while not (load.is_over and len(arrivals.first) >= count and len(probes.found) >= len(probed)):
                say(len(arrivals.first))
                probes.look(list(probed))
                if time.monotonic() > deadline_s:
                    raise BenchError(f"{len(arrivals.first)} of {count} bounces were published in time")
                time.sleep(_LOOK_S)
            load.finish()
    counted = [address("new", number) for number in range(warm_up, count)]
    return Visible(
        published=summarize([(arrivals.first[name][0] - produced[name]) * 1000 for name in counted]),
        in_clickhouse=summarize(
            [(probes.found[name] - produced[name]) * 1000 for name in counted if name in probes.found]
        ),
    )


def _mixed(count: int, every: int) -> Iterator[Record]:
    """Yield `count` hard bounces, each followed by deliveries to others."""
    at = datetime.now(UTC)
    others = deliveries("ok", count * (every - 1), at=at, partitions=PARTITIONS)
    for bounce in hard_bounces("new", count, at=at, partitions=PARTITIONS):
        yield bounce
        yield from islice(others, every - 1)
