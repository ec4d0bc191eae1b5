"""Processes forked by the nursery, as the supervisor sees them."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from postloop.embedded.guarding import guarded_command
from postloop.embedded.logfile import LogFile

# It must first have imported everything, on a machine that starts other things too.
_FORK_S: Final = 60.0
_END_S: Final = 1.0
# Libraries of numpy and Arrow start threads when they are imported, and what was forked beside threads may wait for
# them for ever.
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


class Process(Protocol):
    """What the supervisor uses of a process."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, signal: int) -> None: ...


class NurseryError(Exception):
    """Nothing can be forked."""


class Fork:
    """A process that the nursery forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.reason = ""
        """Why it ended, where its code does not tell."""
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Return the exit code when it has ended."""
        return await asyncio.shield(self._ended)

    def send_signal(self, signal: int) -> None:
        """Send a signal."""
        os.kill(self.pid, signal)

    def end(self, code: int, reason: str = "") -> None:
        """Note that it has ended."""
        if not self._ended.done():
            self.reason = reason
            self._ended.set_result(code)


class Nursery:
    """Runs the nursery: started once, beside whatever else starts, and never again after it ended.

    Args:
        preload: What it imports and calls, see `postloop.embedded.nursery`.
        path: Its log.
    """

    def __init__(self, preload: Sequence[str], *, path: Path) -> None:
        self._preload = preload
        self._log = LogFile(path)
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Fork]] = {}
        self._forks: dict[int, Fork] = {}
        self._hangs = False
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @staticmethod
    def is_possible() -> bool:
        """Whether this system ends children with their parents; elsewhere a part needs a guard of its own."""
        return sys.platform == "linux"

    async def start(self) -> None:
        """Start it; what it is asked for from now on waits until it has imported everything."""
        self._log.rotate_if_large()
        command = [sys.executable, "-m", "postloop.embedded.nursery", *self._preload]
        with self._log.open_for_child() as errors:
            self._process = await asyncio.create_subprocess_exec(
                *guarded_command(command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,
            )
        self._reader = asyncio.create_task(self._read())

    @property
    def _can_fork(self) -> bool:
        return self._reader is not None and not self._reader.done() and not self._hangs

    async def fork(
        self, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], path: Path
    ) -> Fork:
        """Return a new process that runs `python -m module arguments` and writes to the end of the log at `path`.

        Raises:
            NurseryError: It ended, or does not answer.
        """
        if self._process is None or self._process.stdin is None or not self._can_fork:
            raise NurseryError(f"the nursery does not run: {self._log.last_line()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        number = next(self._numbers)
        asked: asyncio.Future[Fork] = asyncio.get_running_loop().create_future()
        self._asked[number] = asked
        wanted = {
            "id": number,
            "module": module,
            "arguments": list(arguments),
            "environment": dict(environment),
            "log": str(path),
        }
        is_taken = False
        try:
            async with asyncio.timeout(_FORK_S):
                self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
                await self._process.stdin.drain()
                fork = await asked
                is_taken = True
                return fork
        except TimeoutError as error:
            self._hangs = True  # it is not asked again: each part would wait for it
            raise NurseryError("the nursery does not answer") from error
        except OSError as error:
            raise NurseryError(f"the nursery cannot fork: {error}") from error
        finally:
            del self._asked[number]
            # Whoever asked has given up, in the moment in which it was answered.
            if not is_taken:
                _forget(asked)

    async def stop(self) -> None:
        """End it, after all that it forked."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                told = json.loads(line)
                if "id" in told:
                    self._answer(told)
                elif (fork := self._forks.pop(told["pid"], None)) is not None:
                    fork.end(told["code"])
        finally:
            for fork in self._forks.values():  # the kernel ended them
                fork.end(
                    -signal.SIGKILL, f"ended with the process it was forked from (log: {self._log.path})"
                )
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(OSError("it ended"))

    def _answer(self, told: Mapping[str, Any]) -> None:
        asked = self._asked.get(told["id"])
        is_awaited = asked is not None and not asked.done()
        if "error" in told:
            if asked is not None and is_awaited:
                asked.set_exception(OSError(told["error"]))
            return
        fork = self._forks[told["pid"]] = Fork(told["pid"])
        if asked is not None and is_awaited:
            asked.set_result(fork)
        else:
            _kill(fork)


def _forget(asked: asyncio.Future[Fork]) -> None:
    """End what was forked for somebody who has given up, and may have started the part in another way."""
    if asked.done() and not asked.cancelled() and asked.exception() is None:
        _kill(asked.result())


def _kill(fork: Fork) -> None:
    with suppress(ProcessLookupError):
        fork.send_signal(signal.SIGKILL)
