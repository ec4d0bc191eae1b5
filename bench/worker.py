"""The real worker of a role, and what its pages of health and metrics say."""

from __future__ import annotations

import re
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import stack
from bench.meter import Sampler, cpu_between, peak_mb
from bench.processes import Process, free_port, wait_until

_INSERTED: Final = r'blocklist_changes_total\{change="inserted"\}'
_ROUTED: Final = r"blocklist_signals_total\{topic=\"[^\"]*\"\}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker lives: its broker, its database, its files, and its group over restarts."""

    brokers: str
    clickhouse_port: int
    directory: Path
    group: str

    @classmethod
    def new(cls, brokers: str, clickhouse_port: int, directory: Path) -> Place:
        """Return a place that no other worker has."""
        return cls(
            brokers=brokers,
            clickhouse_port=clickhouse_port,
            directory=directory,
            group=f"bench-{uuid.uuid4().hex[:8]}",
        )


class Worker:
    """A running worker.

    Attributes:
        started_at: When its process was started (Unix time).
        ready_at: When it said that it is ready; 0 before.
    """

    def __init__(self, process: Process, port: int, sampler: Sampler, *, started_at: float) -> None:
        self.process = process
        self.sampler = sampler
        self.started_at = started_at
        self.ready_at = 0.0
        self._port = port

    def wait_ready(self, *, timeout_s: float) -> float:
        """Return how long it took from the start of the process until it said that it is ready. Seconds.

        Raises:
            BenchError: It ended, or the time is over.
        """
        wait_until(self._is_ready, what="the worker", process=self.process, timeout_s=timeout_s)
        self.ready_at = time.time()
        return self.ready_at - self.started_at

    def wait(self, condition: Callable[[], bool], *, what: str, timeout_s: float) -> float:
        """Return the moment (Unix time) at which a condition holds.

        Raises:
            BenchError: The worker ended, or the time is over.
        """
        wait_until(condition, what=what, process=self.process, timeout_s=timeout_s)
        return time.time()

    def metric(self, name: str) -> int:
        """Return the value of a metric, summed over what a pattern of its name and labels matches."""
        found = re.findall(rf"^postloop_{name} (\S+)$", self._get("/metrics"), re.MULTILINE)
        return int(sum(map(float, found)))

    def inserted(self) -> int:
        """Return how many entries it has published since it started."""
        return self.metric(_INSERTED)

    def routed(self) -> int:
        """Return how many signals it has read of the input topics since it started."""
        return self.metric(_ROUTED)

    def cpu_s(self, start_at: float, end_at: float) -> float:
        """Return the CPU seconds used between two moments."""
        return cpu_between(self.sampler.samples, start_at, end_at)

    def peak_mb(self) -> float:
        """Return its largest resident memory so far."""
        return peak_mb(self.sampler.samples)

    def rss_mb(self) -> float:
        """Return its resident memory now."""
        return peak_mb(self.sampler.samples[-1:])

    def _is_ready(self) -> bool:
        try:
            return bool(self._get("/ready"))
        except OSError:
            return False

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text


@contextmanager
def running(place: Place, *, role: str = "blocklist", **settings: str) -> Iterator[Worker]:
    """Start a worker at a place, with what an earlier one left there; kill it in the end."""
    port = free_port()
    values = {
        "kafka_brokers": place.brokers,
        "topic_prefix": stack.PREFIX,
        "group_prefix": place.group,
        "clickhouse_url": f"http://127.0.0.1:{place.clickhouse_port}",
        "health_port": str(port),
        "log_format": "json",
        "session_timeout": "10s",
        "insert_timeout": "8s",
        "data_dir": str(place.directory),
        **settings,
    }
    env = stack.clean_environment() | {f"POSTLOOP_{name.upper()}": value for name, value in values.items()}
    log_path = place.directory / f"worker-{uuid.uuid4().hex[:8]}.log"
    started_at = time.time()
    argv = [sys.executable, "-m", "postloop_streams", role]
    with (
        Process(argv, log_path=log_path, env=env, cwd=place.directory) as process,
        Sampler(process.pid) as sampler,
    ):
        yield Worker(process, port, sampler, started_at=started_at)
