"""The partitions of one generation: their queues, the attempts that run, and what may be committed when."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar

from postloop.domain.webhook.schedule import error_class
from postloop_streams.patience import Patience
from postloop_streams.webhooks.desk import Desk, Ended, Job
from postloop_streams.webhooks.opening import note
from postloop_streams.webhooks.sending import Attempts

_CHANGES_AT_ONCE: Final = 200

_P = ParamSpec("_P")
_T = TypeVar("_T")
WriteChangelog = Callable[[int, Sequence[tuple[str, bytes | None]]], Awaitable[None]]


class Assignment:
    """What is owned between two rebalances.

    Attributes:
        numbers: Partitions of the delivery topic.
        ended: Attempts that ended and are not judged yet.
        returned: Jobs that were not begun: their endpoint failed meanwhile.
        is_open: The queues are there, or never will be.
        wake: Something happened that a turn should look at.
    """

    def __init__(
        self,
        generation_id: int,
        numbers: frozenset[int],
        *,
        desk: Desk,
        patience: Patience,
        write: WriteChangelog,
    ) -> None:
        self.generation_id = generation_id
        self.numbers = numbers
        self.desk = desk
        self.patience = patience
        self.ended: list[Ended] = []
        self.returned: list[Job] = []
        self.running: dict[asyncio.Task[None], Job] = {}
        self.is_open = asyncio.Event()
        self.wake = asyncio.Event()
        self.is_closed = False
        self._write = write
        self._lock = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._begun: Counter[str] = Counter()
        self._ready: defaultdict[str, deque[Job]] = defaultdict(deque)
        self._acks: defaultdict[int, deque[tuple[int, Callable[[], Any]]]] = defaultdict(deque)

    async def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call something of the desk in a thread, one at a time."""
        async with self._lock:
            work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                # The thread runs on, and the next call must not begin beside it: closing a file in use is a crash.
                await asyncio.wait({work})
                raise

    def ack_when_settled(self, number: int, end: int, ack: Callable[[], Any]) -> None:
        """Call `ack` once everything before a place of the delivery topic is made or in the changelog."""
        self._acks[number].append((end, ack))

    def start(self, job: Job, attempts: Attempts) -> None:
        """Begin an attempt, now or when one of its endpoint ends: no more run at once than the endpoint allows."""
        name = job.endpoint.endpoint_id
        if self._begun[name] < job.endpoint.concurrency:
            self._begin(job, attempts)
        else:
            self._ready[name].append(job)

    def _begin(self, job: Job, attempts: Attempts) -> None:
        self._begun[job.endpoint.endpoint_id] += 1
        task = asyncio.create_task(self._serve(job, attempts))
        self.running[task] = job
        task.add_done_callback(lambda task: self.running.pop(task, None))

    async def _serve(self, job: Job, attempts: Attempts) -> None:
        """Make an attempt, and then whatever of its endpoint stands ready: a task for each would cost more."""
        task = asyncio.current_task()
        following: Job | None = job
        while task is not None and following is not None:
            self.running[task] = following
            ended = await attempts.make(following)
            # Not before: a turn may have taken the list meanwhile.
            self.ended.append(ended)
            following = self._next(following.endpoint.endpoint_id, has_failed=bool(error_class(ended.answer)))
            self.wake.set()

    def _next(self, name: str, *, has_failed: bool) -> Job | None:
        """Return what takes the place of an attempt that ended; None frees it."""
        ready = self._ready.get(name)
        if ready and not self.is_closed:
            if not has_failed:
                following = ready.popleft()
                if not ready:
                    del self._ready[name]
                return following
            # Whether more is sent there is for the next turn to say.
            self.returned.extend(self._ready.pop(name))
        self._begun[name] -= 1
        if not self._begun[name]:
            del self._begun[name]
        return None

    async def settle(self, *, before_ms: int) -> None:
        """Write to the changelog what it lacks, and ack what is settled then.

        Raises:
            AbandonedError: The partitions are not ours any more.
        """
        async with self._settling:
            for number in list(self.desk.owned):
                await self._settle(number, before_ms)

    async def _settle(self, number: int, before_ms: int) -> None:
        changelog = self.desk.owned[number].changelog
        while True:
            changes = await self.call(changelog.pending, settle_before_ms=before_ms, limit=_CHANGES_AT_ONCE)
            if changes:
                records = [(change.key, change.value) for change in changes]
                await self.patience(lambda records=records: self._write(number, records))  # type: ignore[misc]
                await self.call(changelog.written, changes)
            if len(changes) < _CHANGES_AT_ONCE:
                break
        await self._ack(number, await self.call(changelog.safe_position))

    async def _ack(self, number: int, safe: int) -> None:
        acks = self._acks[number]
        while acks and acks[0][0] <= safe:
            acks.popleft()[1]()

    async def keep_health(self) -> None:
        """Write the failures of endpoints to the changelog, and that the files are in use."""
        for number, key, value in await self.call(self.desk.health_changes):
            await self.patience(
                lambda number=number, key=key, value=value: self._write(number, [(key, value)])  # type: ignore[misc]
            )
        for one in self.desk.owned.values():
            await self.call(note, one.queue, read_at_s=time.time())

    async def close(self) -> None:
        """Abandon the attempts that still run, and let go of the files."""
        jobs = [
            *self.running.values(),
            *self.returned,
            *(job for ready in self._ready.values() for job in ready),
        ]
        for task in list(self.running):
            task.cancel()
        self.patience.is_stopped = True
        await self.call(self.desk.abandon, jobs)
        await self.call(self.desk.close)
