"""How late leases end among many that do not: spread, many in one second, and after the worker was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench import stack
from bench.blocklist.arrivals import Arrivals
from bench.blocklist.events import address, hard_bounces
from bench.blocklist.restart import load_changelog
from bench.blocklist.throughput import PARTITIONS, Say, load, nothing, told
from bench.latency import Latency, summarize
from bench.processes import BenchError
from bench.worker import Place, running
from bench.workload import Record
from postloop.contracts.blocklist import BlocklistExpireV1
from postloop.domain.blocklist import DEFAULT_POLICY
from postloop.domain.event_types import BLOCKLIST_EXPIRE_TOPIC

_LEASE: Final = timedelta(milliseconds=DEFAULT_POLICY.lease_ms)
_SPREAD: Final = timedelta(seconds=10)
# Time to become entries before they end, by their number: half of what a worker inserts a second on a slow machine.
_ENTRIES_PER_S: Final = 500
_LAST_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Leases that ended, and how late their events arrived, in milliseconds.

    Attributes:
        case: spread, same second, killed.
        late: After `expires_at`; of `killed` after the next worker said that it is ready.
        ready_s: Of `killed`: from the start of the next worker until it said that it is ready.
    """

    case: str
    among: int
    late: Latency
    ready_s: float = 0.0


def measure_endings(
    among: int, spread: int, at_once: int, directory: Path, *, timeout_s: float, say: Say = nothing
) -> Iterator[Ended]:
    """Yield how late leases end among `among` others: `spread` over ten seconds, `at_once` in one, and after a kill.

    Raises:
        BenchError: A lease did not end, or its event names another end.
    """
    with (
        stack.broker(directory, partitions=PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        Arrivals(brokers, BLOCKLIST_EXPIRE_TOPIC, partitions=PARTITIONS) as arrivals,
    ):
        place = Place.new(brokers, store.port, directory)
        load_changelog(place, "old", among, say=say)
        with running(place) as worker:
            worker.wait_ready(timeout_s=timeout_s)
            first_at = _soon(spread + at_once)
            load(brokers, _ending("spread", spread, first_at, over=_SPREAD))
            load(brokers, _ending("once", at_once, first_at + 2 * _SPREAD))
            count = spread + at_once
            worker.wait(told(worker.inserted, count, say), what="the entries", timeout_s=_LAST_S)
            yield Ended(case="spread", among=among, late=_late(arrivals, "spread", spread, say))
            yield Ended(case="same second", among=among, late=_late(arrivals, "once", at_once, say))
            killed_at = _soon(at_once)
            load(brokers, _ending("killed", at_once, killed_at))
            worker.wait(told(worker.inserted, count + at_once, say), what="the entries", timeout_s=_LAST_S)
            worker.process.stop(politely=False)
        _sleep_until(killed_at + timedelta(seconds=1))
        with running(place) as worker:
            ready_s = worker.wait_ready(timeout_s=timeout_s)
            late = _late(arrivals, "killed", at_once, say, since_s=worker.ready_at)
        yield Ended(case="killed", among=among, late=late, ready_s=ready_s)


def _soon(count: int) -> datetime:
    """Return a moment that leaves time for so many bounces to become entries."""
    return datetime.now(UTC) + timedelta(seconds=5 + count / _ENTRIES_PER_S)


def _ending(
    name: str, count: int, at: datetime, *, over: timedelta = timedelta(seconds=1)
) -> Iterator[Record]:
    """Yield hard bounces whose leases end from a moment on, in equal steps over some time."""
    for number in range(count):
        bounced_at = at - _LEASE + over * number / count
        yield from hard_bounces(f"{name}-{number}-", 1, at=bounced_at, partitions=PARTITIONS)


def _late(arrivals: Arrivals, name: str, count: int, say: Say, *, since_s: float = 0.0) -> Latency:
    names = [address(f"{name}-{number}-", 0) for number in range(count)]
    deadline_s = time.monotonic() + _LAST_S
    while missing := sum(one not in arrivals.first for one in names):
        say(count - missing)
        if time.monotonic() > deadline_s:
            raise BenchError(f"{missing} of {count} leases did not end in time")
        time.sleep(0.5)
    return summarize([lateness_ms(*arrivals.first[one], since_s=since_s) for one in names])


def lateness_ms(arrived_s: float, value: bytes, *, since_s: float) -> float:
    """Return how long after its end (or after `since_s`, when that is later) the event of a lease arrived.

    Raises:
        BenchError: The event is of another cause.
    """
    event = BlocklistExpireV1.model_validate_json(value)
    if event.cause != "lease_ended" or event.expires_at is None:
        raise BenchError(f"a lease was to end, and the event says {event.cause}")
    return (arrived_s - max(event.expires_at.timestamp(), since_s)) * 1000


def _sleep_until(at: datetime) -> None:
    time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))
