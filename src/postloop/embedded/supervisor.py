"""Keeps the processes of a stack running: started in order, restarted after a pause, stopped in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from postloop.adapters.errors import UnavailableError
from postloop.domain.errors import PostloopError
from postloop.embedded.child import Child, ChildSpec
from postloop.embedded.forks import Nursery
from postloop.embedded.priority import prioritize, take_back

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 15.0
# Who ran this long has recovered: the next pause is short again.
STEADY_S: Final = 30.0
# A child that was never ready and ended this often will not come up by itself.
MAX_FIRST_TRIES: Final = 4
_LOG_CHECK_S: Final = 5.0


@dataclass(frozen=True)
class Change:
    """One change of state: `event` is starting, ready, ended, restarting, stopping or stopped."""

    event: str
    component: str
    reason: str = ""
    pid: int | None = None
    pause_s: float = 0.0


class StartError(PostloopError):
    """A part of the stack does not come up."""


def pause_after(failures: int) -> float:
    """Return how long to wait before the next start, after so many ends in a row (from 1). Seconds."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (min(failures, 20) - 1))


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Supervisor:
    """Runs children until `stop`.

    Args:
        specs: In the order of start; `needs` and `restart_with` name earlier ones.
        on_change: Told about every change, in the order in which they happen.
        nursery: Forks those that are to be forked, while it runs; the caller starts and stops it.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        on_change: Callable[[Change], None],
        nursery: Nursery | None = None,
    ) -> None:
        self.children = {spec.name: Child(spec, nursery) for spec in specs}
        self._ready = {spec.name: asyncio.Event() for spec in specs}
        self._on_change = on_change
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._was_ready: set[str] = set()
        self._may_prioritize = False
        self._expected: set[str] = set()  # children that were told to end
        self.restarts = dict.fromkeys(self.children, 0)

    def is_ready(self, name: str) -> bool:
        return self._ready[name].is_set()

    @property
    def all_ready(self) -> bool:
        return all(event.is_set() for event in self._ready.values())

    async def start(self) -> None:
        """Start everything and return when all of it is ready.

        Raises:
            PostloopError: A part does not come up, or its preparation failed.
        """
        self._keepers = {
            name: asyncio.create_task(self._keep(child)) for name, child in self.children.items()
        }
        self._tasks = [asyncio.create_task(self._bound_logs())]
        ready = asyncio.create_task(self._wait_all_ready())
        await asyncio.wait({ready, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            ready.cancel()
            self._failed.result()
        self._may_prioritize = True
        self._tasks.append(asyncio.create_task(self._prioritize_all()))

    async def wait_failed(self) -> None:
        """Wait for a failure that no restart can cure, and raise it."""
        await asyncio.shield(self._failed)

    async def restart(self, name: str, reason: str) -> None:
        """End a child on purpose; it comes back by itself, and with it those that depend on it."""
        self._expected.add(name)
        self._tell("restarting", name, reason)
        await self.children[name].stop()

    async def hurry(self) -> None:
        """Let nobody give way any longer: somebody waits for what they still have to do."""
        self._may_prioritize = False
        await _end(*self._tasks)
        await asyncio.gather(
            *(
                take_back(child.pid, priority)
                for child in self.children.values()
                if (priority := child.spec.priority) is not None and child.pid is not None
            )
        )

    async def retire(self, name: str) -> None:
        """Stop a child for good, before the others."""
        if (keeper := self._keepers.get(name)) is not None:
            await _end(keeper)
        await self._stop(self.children[name])

    async def stop(self) -> None:
        """Stop all children, each within its own time; no child runs afterwards.

        Those that nobody needs any longer stop first, side by side, then those that only they needed.
        """
        await _end(*self._keepers.values(), *self._tasks)
        left = dict(self.children)
        while left:
            needed = {need for child in left.values() for need in child.spec.needs}
            unneeded = [left.pop(name) for name in reversed(list(left)) if name not in needed]
            await asyncio.gather(*(self._stop(child) for child in unneeded))
        self._failed.cancel()

    async def _stop(self, child: Child) -> None:
        if child.is_running:
            self._tell("stopping", child.spec.name)
            orderly = await child.stop()
            self._tell("stopped", child.spec.name, "" if orderly else f"killed after {child.spec.stop_s:g} s")

    async def _keep(self, child: Child) -> None:
        failures = 0
        while True:
            try:
                await self._wait_for_needs(child.spec)
                started_s = time.monotonic()
                reason = await self._run_once(child)
            except (PostloopError, OSError) as error:
                self._fail(error)
                return
            expected = child.spec.name in self._expected
            self._expected.discard(child.spec.name)
            failures = 1 if expected or time.monotonic() - started_s > STEADY_S else failures + 1
            if failures >= MAX_FIRST_TRIES and child.spec.name not in self._was_ready:
                self._fail(StartError(f"{child.spec.name} does not start: {reason} (log: {child.spec.log})"))
                return
            pause_s = 0.0 if expected else pause_after(failures)
            self._tell("ended", child.spec.name, reason, pause_s=pause_s)
            self.restarts[child.spec.name] += 1
            await self._end_dependents(child.spec.name)
            await asyncio.sleep(pause_s)

    async def _run_once(self, child: Child) -> str:
        """Start a child, say when it is ready, wait for its end; return the reason of the end."""
        name = child.spec.name
        await child.start()
        self._tell("starting", name, pid=child.pid)
        try:
            if await child.wait_ready():
                await self._prepare(child.spec)
                self._was_ready.add(name)
                self._ready[name].set()
                self._tell("ready", name, pid=child.pid)
                await self._prioritize(child)
            elif child.is_running:
                await child.kill()
                return f"not ready after {child.spec.ready_s:g} s: {child.log.last_line()}"
            return await child.wait()
        except UnavailableError as error:
            await child.kill()
            return str(error)
        finally:
            self._ready[name].clear()

    async def _prepare(self, spec: ChildSpec) -> None:
        if spec.prepare is not None:
            await spec.prepare()

    async def _prioritize_all(self) -> None:
        for child in self.children.values():
            await self._prioritize(child)

    async def _prioritize(self, child: Child) -> None:
        """Give a child its priority; not before all are ready, for somebody waits for that."""
        if self._may_prioritize and child.spec.priority is not None and child.pid is not None:
            await prioritize(child.pid, child.spec.priority)

    async def _wait_all_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()

    async def _wait_for_needs(self, spec: ChildSpec) -> None:
        for name in spec.needs:
            await self._ready[name].wait()

    async def _end_dependents(self, name: str) -> None:
        for child in self.children.values():
            if name in child.spec.restart_with and child.is_running:
                await self.restart(child.spec.name, f"{name} came back empty")

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_S)
            for child in self.children.values():
                await asyncio.to_thread(child.log.rotate_if_large)

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _tell(
        self, event: str, component: str, reason: str = "", *, pid: int | None = None, pause_s: float = 0
    ) -> None:
        self._on_change(Change(event, component, reason, pid, pause_s))
