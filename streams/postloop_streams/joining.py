"""Small batches become large ones while an earlier one is worked off: what has a price of its own is paid once.

At a steady rate a worker is given a few records at a time. Each of them one after the other would cost a round of the
broker, and a worker that once fell behind would stay behind; the longer a round takes, the more goes into the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

T = TypeVar("T")
R = TypeVar("R")

log = structlog.stdlib.get_logger("postloop.streams")


class Share(NamedTuple, Generic[R]):
    """What a joint piece of work returned; `leads` for exactly one of those who took part."""

    result: R
    leads: bool


class Joined(Generic[T, R]):
    """Joins what several callers want done at the same time, in the order in which they came.

    Args:
        work: Does it; never called twice at once.
        limit: So many items at once, unless one caller alone has more.
        gather_s: How long a caller waits for others who come at nearly the same time, before its turn.
        turn: Held while `work` runs; for others who must not run at the same time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[R]],
        *,
        limit: int,
        gather_s: float = 0.0,
        turn: asyncio.Lock | None = None,
    ) -> None:
        self._work = work
        self._limit = limit
        self._gather_s = gather_s
        self._turn = turn or asyncio.Lock()
        self._waiting: deque[tuple[Sequence[T], asyncio.Future[R]]] = deque()

    async def __call__(self, items: Sequence[T]) -> Share[R]:
        """Return once these items were worked off, alone or with others; an error is told to all of them."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, done))
        if self._gather_s:
            await asyncio.sleep(self._gather_s)
        async with self._turn:
            if done.done():
                return Share(done.result(), leads=False)
            parts = self._next()
            try:
                result = await self._work([item for part, _ in parts for item in part])
            except BaseException as error:
                for _, other in parts:
                    other.set_exception(error)
                    other.exception()  # looked at: who was cancelled meanwhile will not ask
                raise
            for _, other in parts:
                other.set_result(result)
            return Share(result, leads=True)

    def _next(self) -> list[tuple[Sequence[T], asyncio.Future[R]]]:
        parts = [self._waiting.popleft()]
        count = len(parts[0][0])
        while self._waiting and count + len(self._waiting[0][0]) <= self._limit:
            parts.append(self._waiting.popleft())
            count += len(parts[-1][0])
        return parts


class Overlap:
    """Runs pieces of work side by side, at most `limit`; a failure ends the role, for nothing may be acked after it."""

    def __init__(self, limit: int, *, fail: Callable[[str], None]) -> None:
        self._free = asyncio.Semaphore(limit)
        self._fail = fail
        self._running: set[asyncio.Task[None]] = set()

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a piece of work, once there is room."""
        await self._free.acquire()
        task = asyncio.create_task(self._run(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            log.exception("work_failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._free.release()
