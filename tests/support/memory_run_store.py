"""A RunStore in memory that behaves like the engine, faults included: raw rows, one view, and tokens."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from postloop.adapters.errors import UnavailableError
from postloop.adapters.run_store import LogPartition, StoredRun

Fault = Literal["ok", "refused before", "answer lost", "view missed", "part lost"]


class MemoryRunStore:
    """Raw rows by run, what the view counted, and which tokens each of the two remembers.

    `faults` are consumed one per insert; afterwards every insert goes well.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = deque(faults)
        self.raw: dict[str, list[dict[str, Any]]] = {}
        self.raw_tokens: set[str] = set()
        self.view: Counter[str] = Counter()
        self.view_tokens: set[str] = set()
        self.dead_letters: dict[str, Mapping[str, Any]] = {}
        self.to_check: list[str] = []
        self.inserts = 0

    def insert(
        self, rows: pa.Table, *, run_id: str, time_limit_s: float, ends_at_s: float = math.inf
    ) -> None:
        assert time_limit_s > 0
        if time.monotonic() + time_limit_s > ends_at_s:
            raise UnavailableError("too late to begin")
        self.inserts += 1
        fault: Fault = self.faults.popleft() if self.faults else "ok"
        if fault == "refused before":
            raise UnavailableError("connection refused")
        if fault == "part lost":  # kill -9 after the token was written and before the part was there
            self.raw_tokens.add(run_id)
            raise UnavailableError("connection reset")
        if run_id not in self.raw_tokens:
            self.raw_tokens.add(run_id)
            self.raw[run_id] = rows.to_pylist()
        if fault != "view missed":
            self._feed(run_id, rows.column("event_id").to_pylist())
        if fault != "ok":
            raise UnavailableError("connection reset")

    def _feed(self, run_id: str, event_ids: Iterable[str]) -> None:
        if run_id not in self.view_tokens:
            self.view_tokens.add(run_id)
            self.view.update(event_ids)

    def row_count(self, run_id: str) -> int:
        return len(self.raw.get(run_id, ()))

    def heal(self, run_id: str, *, reason: str) -> int:
        assert reason
        self._feed(run_id, [row["event_id"] for row in self.raw[run_id]])
        self.to_check.append(run_id)
        return len(self.raw[run_id])

    def last_stored(self, partitions: Iterable[LogPartition]) -> dict[LogPartition, StoredRun]:
        found: dict[LogPartition, StoredRun] = {}
        for run_id, rows in self.raw.items():
            for row in rows:
                partition = LogPartition(row["topic"], row["topic_id"], row["partition"])
                known = found.get(partition)
                if partition in set(partitions) and (known is None or row["offset"] >= known.last_offset):
                    found[partition] = StoredRun(run_id, row["offset"], datetime.now(UTC))
        return found

    def runs_since(self, moment: datetime) -> int:
        return len(self.raw)

    def check_later(self, run_id: str, *, reason: str) -> None:
        self.to_check.append(run_id)

    def stored_positions(
        self, partition: LogPartition, *, first: int, last: int
    ) -> dict[tuple[int, int], int]:
        return {
            (row["offset"], row["index"]): _hash(row["event_id"])
            for rows in self.raw.values()
            for row in rows
            if (row["topic_id"], row["partition"]) == (partition.topic_id, partition.partition)
            and first <= row["offset"] <= last
        }

    def recent_ids(
        self, partitions: Sequence[tuple[str, int]], *, since: datetime, limit: int
    ) -> dict[tuple[str, int], npt.NDArray[np.uint64]]:
        ids: dict[tuple[str, int], list[int]] = {}
        for rows in self.raw.values():
            for row in rows:
                if (row["topic"], row["partition"]) in partitions:
                    ids.setdefault((row["topic"], row["partition"]), []).append(_hash(row["event_id"]))
        return {key: np.array(hashes[:limit], dtype=np.uint64) for key, hashes in ids.items()}

    def wait_for_inserts(self, *, timeout_s: float) -> None:
        assert timeout_s > 0

    def keep_dead_letters(self, letters: Sequence[Mapping[str, Any]]) -> None:
        self.dead_letters.update((letter["event_id"], letter) for letter in letters)

    @property
    def stored_ids(self) -> Counter[str]:
        """How often each event id is stored."""
        return Counter(row["event_id"] for rows in self.raw.values() for row in rows)


def _hash(event_id: str) -> int:
    from postloop_streams.recorder.seen import hash_ids

    return int(hash_ids([event_id])[0])
