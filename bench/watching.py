"""When each record could be read in ClickHouse, and when it was produced."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

from bench.processes import BenchError
from bench.running import POLL_S
from bench.stack import Store

# Columns of the project's own projection, and no other: a few rows per part are read, however many are stored.
_STORED_TO: Final = (
    "SELECT topic_id, `partition`, max(`offset`), toUnixTimestamp64Milli(max(stored_at)) FROM events "
    "GROUP BY topic_id, `partition`"
)
_NAMES: Final = "SELECT DISTINCT topic_id, topic FROM events"


class Watch:
    """Notes for each partition when offsets were produced and when they were seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[tuple[str, int], dict[int, float]] = defaultdict(dict)
        self.latencies_ms: list[float] = []

    def produced(self, topic: str, partition: int, offset: int, at: float) -> None:
        """Note that a record was handed to the producer at `at` and has this offset."""
        with self._lock:
            self._waiting[topic, partition][offset] = at

    def seen(self, topic: str, partition: int, to_offset: int, at: float) -> None:
        """Note that at `at` a partition is visible up to an offset, included."""
        with self._lock:
            waiting = self._waiting[topic, partition]
            done = [offset for offset in waiting if offset <= to_offset]
            self.latencies_ms += [(at - waiting.pop(offset)) * 1000 for offset in done]

    @property
    def waiting_count(self) -> int:
        """How many records were not seen yet."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def lag_s(self, at: float) -> float:
        """Return how long the oldest record that was not seen yet has waited at `at`; 0 when all were seen."""
        with self._lock:
            oldest = min((min(moments.values()) for moments in self._waiting.values() if moments), default=at)
        return max(0.0, at - oldest)


class Look(NamedTuple):
    """One look at what is stored: when, and when the newest of its runs was cut (Unix time; 0: nothing is)."""

    at: float
    stored_at: float


class Observer:
    """Asks a store how far each partition is visible, and tells a watch."""

    def __init__(self, store: Store, watch: Watch) -> None:
        self._store = store
        self._watch = watch
        self._topics: dict[str, str] = {}

    def look(self) -> Look:
        """Ask once."""
        rows = self._store.rows(_STORED_TO)
        at = time.time()
        if any(topic_id not in self._topics for topic_id, *_ in rows):
            self._topics = {row[0]: row[1] for row in self._store.rows(_NAMES)}
        for topic_id, partition, offset, _ in rows:
            self._watch.seen(self._topics[topic_id], partition, offset, at)
        return Look(at, max((stored_ms for *_, stored_ms in rows), default=0) / 1000)

    def wait(self, condition: Callable[[Look], bool], *, what: str, timeout_s: float) -> Look:
        """Look every 20 ms and return the first look for which the condition holds.

        Raises:
            BenchError: The time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not condition(found := self.look()):
            if time.monotonic() > deadline:
                waiting = self._watch.waiting_count
                raise BenchError(f"{what}: not within {timeout_s:g} s, {waiting} records are not visible")
            time.sleep(POLL_S)
        return found
