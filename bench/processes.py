"""Processes that a benchmark starts: each leads its own session, logs to a file, and is ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from postloop.domain.errors import PostloopError

_STOP_S: Final = 10.0
_PROBE_S: Final = 0.05


class BenchError(PostloopError):
    """Something that a run needs did not come about."""


class Process:
    """One child process; a context manager that leaves nothing behind."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._log_path = log_path
        with log_path.open("wb") as log:
            self._child = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def log(self) -> str:
        """Return what it wrote."""
        return self._log_path.read_text(errors="replace")

    def last_line(self) -> str:
        """Return the last line it wrote, for a message."""
        lines = self.log().strip().splitlines()
        return lines[-1][:300] if lines else "it wrote nothing"

    def stop(self, *, politely: bool = True) -> None:
        """End it, by force when it does not go by itself."""
        if self._child.poll() is None and politely:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)  # its own session: what it started goes too
        self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(politely=False)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(
    condition: Callable[[], bool], *, what: str, process: Process, timeout_s: float = 60.0
) -> None:
    """Return when the condition holds.

    Raises:
        BenchError: The process ended or the time is over.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process.exit_code is not None:
            raise BenchError(f"{what}: the process ended with {process.exit_code}: {process.last_line()}")
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {timeout_s:g} s: {process.last_line()}")
        time.sleep(_PROBE_S)
