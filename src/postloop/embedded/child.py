"""One supervised process: started with its log, probed until ready, stopped or found dead with a reason."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from postloop.embedded.forks import Fork, Nursery, NurseryError, Process
from postloop.embedded.guarding import guarded_command
from postloop.embedded.logfile import LogFile
from postloop.embedded.priority import Priority

_PROBE_PAUSE_S: Final = 0.05


@dataclass(frozen=True)
class ChildSpec:
    """What to run and how to tell that it works.

    Attributes:
        probe: Returns whether it works now; asked until it does. Must not raise.
        prepare: Runs after each start, once the probe said yes and before the child counts as ready; what it
            raises ends the stack.
        needs: Names of children that must be ready before this one is started.
        restart_with: Names of children after whose end this one is restarted too.
        is_forked: Whether its command, `python -m MODULE ...`, is run by a process that has imported it already, where
            there is one.
        stop_s: How long it may take to end after SIGTERM. Seconds.
        priority: How it shares processors with the others once everything is ready; None: as the supervisor does.
    """

    name: str
    command: Sequence[str]
    log: Path
    probe: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], Awaitable[None]] | None = None
    needs: tuple[str, ...] = ()
    restart_with: tuple[str, ...] = ()
    ready_s: float = 60.0
    stop_s: float = 3.0
    priority: Priority | None = None
    is_forked: bool = False


class Child:
    """A process of the stack, in a session of its own: Ctrl-C in the terminal reaches the supervisor only."""

    def __init__(self, spec: ChildSpec, nursery: Nursery | None = None) -> None:
        self.spec = spec
        self.log = LogFile(spec.log)
        self._nursery = nursery
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def memory_bytes(self) -> int:
        """Resident memory, 0 when it does not run."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid is not None else 0
        except psutil.Error:
            return 0

    async def start(self) -> None:
        """Start the process; its output is appended to its log."""
        self.log.rotate_if_large()
        environment = {**os.environ, **self.spec.environment}
        if self._nursery is not None and self.spec.is_forked:
            _, _, module, *arguments = self.spec.command
            try:
                self._process = await self._nursery.fork(
                    module, arguments, environment=environment, path=self.spec.log
                )
            except NurseryError:
                pass  # its log tells why; the part starts all the same, and later
            else:
                return
        with self.log.open_for_child() as output:
            self._process = await asyncio.create_subprocess_exec(
                *guarded_command(self.spec.command),
                stdin=asyncio.subprocess.PIPE,  # held open for the guard; see lifeline.py
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    async def wait_ready(self) -> bool:
        """Return whether the probe said yes before the process ended or `ready_s` was over."""
        deadline_s = time.monotonic() + self.spec.ready_s
        while self.is_running and time.monotonic() < deadline_s:
            if await self.spec.probe():
                return True
            await asyncio.sleep(_PROBE_PAUSE_S)
        return False

    async def wait(self) -> str:
        """Wait for the end of the process and return its reason."""
        if self._process is None:
            return "never started"
        await self._process.wait()
        return self.reason()

    def reason(self) -> str:
        """Return in words how it ended, with the last line of its log."""
        code = None if self._process is None else self._process.returncode
        if code is None:
            return "still running"
        if isinstance(self._process, Fork) and self._process.reason:
            return self._process.reason
        how = f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"
        last = self.log.last_line()
        return f"{how}: {last}" if last and code != -signal.SIGKILL else how

    async def stop(self, *, within_s: float | None = None) -> bool:
        """End it: SIGTERM, then SIGKILL after `within_s`. Return whether SIGTERM was enough."""
        if self._process is None or not self.is_running:
            return True
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), self.spec.stop_s if within_s is None else within_s)
        except TimeoutError:
            await self.kill()
            return False
        return True

    async def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
