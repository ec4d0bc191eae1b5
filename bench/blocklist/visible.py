"""From a hard bounce to the event of its block, and to the row that a query of the active entries finds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import stack
from bench.blocklist.arrivals import Arrivals
from bench.blocklist.events import address, hard_bounces
from bench.blocklist.throughput import PARTITIONS, READY_S, Say, nothing
from bench.latency import Latency, summarize
from bench.processes import BenchError
from bench.steady import Placed, steady_load
from bench.worker import Place, running
from postloop.domain.event_types import BLOCKLIST_INSERT_TOPIC

# Every twentieth address is looked for in ClickHouse: a query for all of them would be most of what is measured.
_PROBED: Final = 20
_LOOK_S: Final = 0.05
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


def measure_visible(rate_per_s: int, seconds: int, directory: Path, *, say: Say = nothing) -> Visible:
    """Produce hard bounces of addresses that differ at a steady rate, and watch them become blocks.

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
        warm_up = _WARM_UP_S * rate_per_s
        count = warm_up + rate_per_s * seconds
        produced: dict[str, float] = {}
        probes = Probes(store)

        def note(placed: Placed) -> None:
            produced[address("new", placed.number)] = placed.at

        records = list(hard_bounces("new", count, at=datetime.now(UTC), partitions=PARTITIONS))
        with steady_load(records, brokers=brokers, rate_per_s=rate_per_s, on_placed=note) as load:
            deadline_s = time.monotonic() + seconds + _WARM_UP_S + _LAST_S
            while not _is_over(load.is_over, count, produced, arrivals, probes):
                say(len(arrivals.first))
                probes.look(_probed(produced))
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


def _is_over(
    is_produced: bool, count: int, produced: dict[str, float], arrivals: Arrivals, probes: Probes
) -> bool:
    if not is_produced or len(arrivals.first) < count:
        return False
    return all(name in probes.found for name in _probed(produced))


def _probed(produced: dict[str, float]) -> list[str]:
    return list(produced)[::_PROBED]
