"""Deliveries a second of one worker with a backlog, beside a bare aiohttp loop that posts bodies of the same size."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import ClientSession, TCPConnector

from bench import stack
from bench.blocklist.throughput import PARTITIONS, load
from bench.webhooks.place import add_endpoints, bounces, webhooks_worker
from bench.webhooks.receiver import Arrival, Receiver, receiving
from bench.worker import Place, Worker

_WARM_SHARE: Final = 0.1
_AT_ONCE: Final = 32
_BODY_BYTES: Final = 800


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """One run.

    Attributes:
        endpoints: That share the deliveries.
        per_s: Deliveries a second, without the first tenth.
        bare_per_s: Of the bare loop, right after, to the same receiver while the worker is idle.
        worker_cpu_us: CPU time of the worker for one delivery, from the event to the record of the attempt.
        peak_mb: Resident memory of the worker.
        repeats: Requests beyond one a delivery.
    """

    deliveries: int
    endpoints: int
    per_s: float
    bare_per_s: float
    worker_cpu_us: float
    peak_mb: float
    repeats: int

    @property
    def ratio(self) -> float:
        """The worker's rate, of the bare loop's."""
        return self.per_s / self.bare_per_s


def measure_throughput(count: int, endpoints: int, directory: Path, *, timeout_s: float) -> Throughput:
    """Load bounces, start a worker, and return how fast they were delivered.

    Raises:
        BenchError: Not all were in time.
    """
    with (
        stack.broker(directory, partitions=PARTITIONS) as brokers,
        stack.clickhouse(directory) as store,
        receiving() as receiver,
    ):
        add_endpoints(brokers, directory, [receiver.url(f"/{n}") for n in range(endpoints)])
        place = Place.new(brokers, store.port, directory)
        with webhooks_worker(place) as worker:
            start_at = time.time()
            load(brokers, bounces("load", count, accounts=endpoints, at=datetime.now(UTC)))
            worker.wait(lambda: receiver.count() >= count, what="the deliveries", timeout_s=timeout_s)
            arrived = receiver.arrivals()
            end_at = _settled(worker)
            bare_per_s = asyncio.run(_bare(receiver, count // 2))
            return Throughput(
                deliveries=count,
                endpoints=endpoints,
                per_s=_rate(arrived),
                bare_per_s=bare_per_s,
                worker_cpu_us=worker.cpu_s(start_at, end_at) / count * 1e6,
                peak_mb=worker.peak_mb(),
                repeats=len(arrived) - len({one.message_id for one in arrived}),
            )


def _rate(arrived: list[Arrival]) -> float:
    times = sorted(one.at for one in arrived)
    first = int(len(times) * _WARM_SHARE)
    return (len(times) - 1 - first) / (times[-1] - times[first])


def _settled(worker: Worker) -> float:
    """Return the moment at which the worker has noted what it did: its log is written and it idles."""
    return worker.wait(
        lambda: worker.metric("webhook_waiting") == 0 and worker.metric("webhook_journal_unstored_rows") == 0,
        what="the records of the attempts",
        timeout_s=60,
    )


async def _bare(receiver: Receiver, count: int) -> float:
    body = b'{"type":"email.bounced","data":{"event_id":"bare","' + b"x" * (_BODY_BYTES - 55) + b'":1}}'
    url, numbers = receiver.url("/bare"), iter(range(count))
    async with ClientSession(connector=TCPConnector(limit=0)) as session:

        async def work() -> None:
            for number in numbers:
                headers = {"Content-Type": "application/json", "webhook-id": f"bare-{number}"}
                async with session.post(url, data=body, headers=headers) as response:
                    await response.read()

        started_s = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        return count / (time.perf_counter() - started_s)
