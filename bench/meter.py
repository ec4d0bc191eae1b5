"""Clock, CPU and memory of one run, all taken from outside the process that is measured."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self

import psutil

ASSIGNED: Final = "partitions_assigned"
_MB: Final = 1 << 20


class Sample(NamedTuple):
    """CPU seconds that a process had used at a moment (Unix time), and its memory."""

    at: float
    cpu_s: float
    rss_bytes: int


class Sampler:
    """Reads CPU and memory of one process (and its children) every `every_s`, in a thread."""

    def __init__(self, pid: int, *, every_s: float = 0.02) -> None:
        self._root = psutil.Process(pid)
        self._every_s = every_s
        self._stopping = threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                times, memory = self._root.cpu_times(), self._root.memory_info()
            except psutil.Error:
                return
            self.samples.append(Sample(time.time(), times.user + times.system, memory.rss))


def cpu_between(samples: Sequence[Sample], start_at: float, end_at: float) -> float:
    """Return the CPU seconds used between two moments, by the last samples not after them."""
    if not samples:
        return 0.0
    moments = [sample.at for sample in samples]
    first = samples[max(0, bisect_right(moments, start_at) - 1)]
    last = samples[max(0, bisect_right(moments, end_at) - 1)]
    return max(0.0, last.cpu_s - first.cpu_s)


def peak_mb(samples: Sequence[Sample]) -> float:
    """Return the largest resident memory of the samples, in MB."""
    return max(map(megabytes, samples), default=0.0)


def megabytes(sample: Sample) -> float:
    """Return the resident memory of a sample, in MB."""
    return sample.rss_bytes / _MB


def assigned_at(log: str) -> float | None:
    """Return when a recorder's log (JSON lines) says that partitions were first assigned; None: not yet."""
    for line in log.splitlines():
        if ASSIGNED in line and line.startswith("{"):
            return datetime.fromisoformat(json.loads(line)["at"]).timestamp()
    return None


def started_at(file: Path) -> float | None:
    """Return the moment that a peer noted for its assignment or its first record; None: not yet."""
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return None
