"""What a sender pays for the list: time to be ready, memory, and microseconds of a question."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from bench import stack
from bench.blocklist.entries import state
from bench.blocklist.events import address
from bench.blocklist.throughput import PARTITIONS, Say, nothing
from postloop.client import Blocklist
from postloop.domain.event_types import BLOCKLIST_STATE_TOPIC

_QUESTIONS: Final = 200_000
_BATCH: Final = 1_000
_TOLD_EVERY: Final = 10_000
_DOMAIN: Final = "mail1.example"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One client with its whole list.

    Attributes:
        ready_s: From making it until the list was read to its end.
        bytes_per_entry: Of the view.
        allowed_per_s, many_per_s: Answers a second, one by one and in batches of a thousand; half are listed.
        p50_us, p99_us, longest_us: Of one question, the clock itself (some 0.05 us) included.
    """

    entries: int
    ready_s: float
    bytes_per_entry: float
    allowed_per_s: float
    many_per_s: float
    p50_us: float
    p99_us: float
    longest_us: float


def measure_client(count: int, directory: Path, *, timeout_s: float, say: Say = nothing) -> Asked:
    """Load the state of `count` entries, let a client read it, and ask it.

    Raises:
        NotReady: The list was not read in time.
    """
    with stack.broker(directory, partitions=PARTITIONS) as brokers:
        bounced_ms = int(time.time() * 1000) - 3_600_000 - count
        records = state("listed", count, bounced_ms=bounced_ms, partitions=PARTITIONS)
        for done in range(0, count, _TOLD_EVERY * 10):
            stack.append(brokers, islice(records, _TOLD_EVERY * 10))
            say(done)
        started_s = time.monotonic()
        topic = stack.PREFIX + BLOCKLIST_STATE_TOPIC
        with Blocklist(bootstrap_servers=brokers, topic=topic) as blocklist:
            blocklist.wait_ready(timeout_s)
            ready_s = time.monotonic() - started_s
            stats = blocklist.stats()
            pairs = questions(count, _QUESTIONS, seed=1)
            return Asked(
                entries=stats.entries,
                ready_s=ready_s,
                bytes_per_entry=stats.bytes / stats.entries,
                allowed_per_s=_one_by_one(blocklist, pairs),
                many_per_s=_in_batches(blocklist, pairs),
                **_percentiles(blocklist, pairs),
            )


def questions(listed: int, count: int, *, seed: int) -> list[tuple[str, str]]:
    """Return pairs of sender domain and recipient; about half of the recipients are among the listed ones."""
    draw = random.Random(seed)
    names = ("listed", "other")
    return [(_DOMAIN, address(names[draw.randrange(2)], draw.randrange(listed))) for _ in range(count)]


def _one_by_one(blocklist: Blocklist, pairs: Sequence[tuple[str, str]]) -> float:
    started_s = time.perf_counter()
    for domain, recipient in pairs:
        blocklist.allowed(domain, recipient)
    return len(pairs) / (time.perf_counter() - started_s)


def _in_batches(blocklist: Blocklist, pairs: Sequence[tuple[str, str]]) -> float:
    started_s = time.perf_counter()
    for first in range(0, len(pairs), _BATCH):
        blocklist.allowed_many(pairs[first : first + _BATCH])
    return len(pairs) / (time.perf_counter() - started_s)


def _percentiles(blocklist: Blocklist, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    taken_ns = []
    for domain, recipient in pairs:
        started_ns = perf_counter_ns()
        blocklist.allowed(domain, recipient)
        taken_ns.append(perf_counter_ns() - started_ns)
    taken_ns.sort()
    return {
        "p50_us": taken_ns[len(taken_ns) // 2] / 1e3,
        "p99_us": taken_ns[len(taken_ns) * 99 // 100] / 1e3,
        "longest_us": taken_ns[-1] / 1e3,
    }
