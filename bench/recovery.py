"""A recorder that is killed again and again under a steady load: how soon it is back, and whether anything is lost."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from bench import stack
from bench.consumers import start_recorder, wait_assigned
from bench.processes import BenchError, Process
from bench.running import check_counts
from bench.steady import Load, Placed, steady_load
from bench.watching import Look, Observer, Watch
from bench.workload import SPAN, Plan, Record, Tally, generate
from postloop.domain.errors import PostloopError
from postloop.embedded.addresses import Addresses, stack_settings
from postloop.embedded.supervisor import FIRST_PAUSE_S
from postloop.settings import Settings

CAUGHT_UP_S: Final = 1.0
"""Who shows every record within this has caught up."""
_PARTITIONS: Final = 4
# How long a recorder that has caught up lives before it is killed, at random between these.
_LIFE_S: Final = (2.0, 8.0)
_LONGEST_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class RecoveryPlan:
    """Records a second, kills, and the seed of their moments."""

    rate_per_s: int
    kill_count: int
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Seconds from a kill to the first rows of the next recorder, and until no record waited for a second."""

    visible_s: float
    caught_up_s: float


@dataclass(kw_only=True)
class Recovery:
    """What was seen: every kill, the records produced, and why it is no success (empty: all are there once)."""

    kills: list[Kill] = field(default_factory=list)
    record_count: int = 0
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


class Sent:
    """Notes what is produced while it is produced."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.event_ids: list[str] = []

    def noting(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records, each noted before it is yielded."""
        for record in records:
            self.tally.add(record)
            self.event_ids.append(json.loads(record.value)["event_id"])
            yield record


def differences(sent: Sequence[str], stored: Iterable[str]) -> list[str]:
    """Return one sentence for each way in which what is stored is not what was sent, exactly once."""
    counts, wanted = Counter(stored), set(sent)
    found = {
        "missing": [event_id for event_id in sent if event_id not in counts],
        "stored more than once": [event_id for event_id, count in counts.items() if count > 1],
        "stored and were never sent": [event_id for event_id in counts if event_id not in wanted],
    }
    return [f"{len(ids)} events are {what}, the first is {ids[0]}" for what, ids in found.items() if ids]


def measure_recovery(plan: RecoveryPlan, directory: Path, *, on_kill: Callable[[Kill], None]) -> Recovery:
    """Kill the recorder of a running stack again and again and return what was seen.

    Raises:
        PostloopError: The stack does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (
        stack.broker(directory, partitions=_PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        _Recorders(brokers, store, directory) as recorders,
    ):
        wait_assigned(recorders.running)
        return _Trial(plan, store, recorders, on_kill).run(brokers)


class _Recorders:
    """One recorder after the other in the same consumer group, each set up as `postloop up` does it."""

    def __init__(self, brokers: str, store: stack.Store, directory: Path) -> None:
        self._brokers = brokers
        self._port = store.port
        self._directory = directory
        self._count = 0
        kafka_port = int(brokers.rpartition(":")[2])
        addresses = Addresses(
            kafka_port=kafka_port,
            clickhouse_port=store.port,
            http_port=0,
        )
        told = stack_settings(Settings(_env_file=None, data_dir=directory), addresses)
        self._settings = {**told, "group_prefix": f"bench-recovery-{uuid.uuid4().hex[:8]}"}
        self.running = self._start()

    def restart(self) -> float:
        """Kill the recorder and start the next; return the moment of the kill (Unix time)."""
        killed_at = time.time()
        self.running.stop(politely=False)
        time.sleep(FIRST_PAUSE_S)
        self.running = self._start()
        return killed_at

    def _start(self) -> Process:
        self._count += 1
        directory = self._directory / f"recorder-{self._count}"
        directory.mkdir()
        return start_recorder(
            brokers=self._brokers, clickhouse_port=self._port, directory=directory, **self._settings
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.running.stop(politely=False)


class _Trial:
    """A load, and the kills under it."""

    def __init__(
        self, plan: RecoveryPlan, store: stack.Store, recorders: _Recorders, on_kill: Callable[[Kill], None]
    ) -> None:
        self._plan = plan
        self._store = store
        self._recorders = recorders
        self._on_kill = on_kill
        self._rng = random.Random(plan.seed)
        self._sent = Sent()
        self._watch = Watch()
        self._observer = Observer(store, self._watch)

    def run(self, brokers: str) -> Recovery:
        """Return what was seen; what goes wrong is in it."""
        result = Recovery()
        try:
            self._run(brokers, result)
        except PostloopError as error:
            result.failure = str(error)
        result.record_count = len(self._sent.event_ids)
        return result

    def _run(self, brokers: str, result: Recovery) -> None:
        # One record a second of event time for each of the rate: event time is real time.
        workload = Plan(
            event_count=self._plan.rate_per_s * int(SPAN.total_seconds()),
            start_at=datetime.now(UTC),
            invalid_share=0.0,
            seed=self._plan.seed,
        )
        records = self._sent.noting(generate(workload))
        with steady_load(
            records, brokers=brokers, rate_per_s=self._plan.rate_per_s, on_placed=self._placed
        ) as load:
            self._wait(
                load, lambda look: look.stored_at > 0 and self._is_caught_up(look), what="the first rows"
            )
            for _ in range(self._plan.kill_count):
                result.kills.append(self._kill(load))
                self._on_kill(result.kills[-1])
            load.finish()
        self._observer.wait(
            lambda _: not self._watch.waiting_count, what="the last records", timeout_s=_LONGEST_S
        )
        self._check()

    def _kill(self, load: Load) -> Kill:
        dies_at = time.time() + self._rng.uniform(*_LIFE_S)
        self._wait(load, lambda look: look.at >= dies_at, what="the next kill")
        killed_at = self._recorders.restart()
        # A run that the former recorder cut may be stored after its death; it is not yet the next one's work.
        visible = self._wait(load, lambda look: look.stored_at > killed_at + FIRST_PAUSE_S, what="new rows")
        caught_up = self._wait(load, self._is_caught_up, what="catching up")
        return Kill(visible_s=visible.at - killed_at, caught_up_s=caught_up.at - killed_at)

    def _wait(self, load: Load, condition: Callable[[Look], bool], *, what: str) -> Look:
        def is_met(look: Look) -> bool:
            if load.is_over:
                load.finish()
                raise BenchError(f"{what}: the records ran out")
            if self._recorders.running.exit_code is not None:
                raise BenchError(f"{what}: the recorder ended: {self._recorders.running.last_line()}")
            return condition(look)

        return self._observer.wait(is_met, what=what, timeout_s=_LONGEST_S)

    def _is_caught_up(self, look: Look) -> bool:
        return self._watch.lag_s(look.at) < CAUGHT_UP_S

    def _placed(self, placed: Placed) -> None:
        self._watch.produced(placed.topic, placed.partition, placed.offset, placed.at)

    def _check(self) -> None:
        stored = [row[0] for row in self._store.rows("SELECT event_id FROM events")]
        if wrong := differences(self._sent.event_ids, stored):
            raise BenchError("; ".join(wrong))
        check_counts(self._sent.tally.counts, self._store)
