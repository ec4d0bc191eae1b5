"""Child processes of a test: started with a log file, waited for by condition, never left behind."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

import psutil

T = TypeVar("T")

_LOG_TAIL_LINES = 40
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None)

_running: set[ChildProcess] = set()


class Running(Protocol):
    """What of `subprocess.Popen` is used of a process."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


class ChildProcess:
    """One child process whose output goes to a log file.

    It leads a session of its own, so that Ctrl-C in the terminal reaches the test run only, and what the
    child itself started can be found and ended with it. Whatever still runs when Python exits is killed, on Linux
    even when Python itself is killed, as a worker of a cancelled `pytest -n` is.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.argv = list(argv)
        self.log_path = log_path
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._process: Running | None = None

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._started.poll()

    def start(self) -> Self:
        """Start the process; the log of an earlier run is kept and appended to."""
        if self.is_running:
            raise RuntimeError(f"already running as pid {self.pid}: {self.argv[0]}")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._process = self._spawn(self._env, self._cwd)
        _running.add(self)
        return self

    def _spawn(self, env: Mapping[str, str], cwd: Path | None) -> Running:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=die_with_the_test_run,
            )

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal to this process alone, if it still runs."""
        if self.is_running:
            self._started.send_signal(signal_number)

    def wait(self, *, timeout_s: float) -> int:
        """Return the exit code; fail with the log when it runs longer than `timeout_s`."""
        try:
            return self._started.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.describe()} still runs after {timeout_s} s\n{self.log_tail()}"
            ) from None

    def terminate(self, *, timeout_s: float = 10.0) -> int:
        """End it politely (SIGTERM) and return its exit code; what it leaves running fails the test."""
        self.send(signal.SIGTERM)
        code = self.wait(timeout_s=timeout_s)
        _running.discard(self)
        left = _session_members(self.pid)
        _kill_all(left)
        assert not left, f"{self.describe()} left processes behind: {[process.pid for process in left]}"
        return code

    def kill(self) -> None:
        """Kill it (SIGKILL), alone: its own children stay, as after a crash. See `kill_session`."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def kill_session(self) -> None:
        """Kill it and everything that it started in its session; never fails."""
        _running.discard(self)
        if self._process is None:
            return
        self.kill()
        _kill_all(_session_members(self.pid))

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """Return the last lines of the log, for a message of failure."""
        if not self.log_path.exists():
            return "(no log)"
        text = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join([f"--- last lines of {self.log_path}", *text[-lines:]])

    def describe(self) -> str:
        state = "not started" if self._process is None else f"pid {self.pid}"
        return f"{Path(self.argv[0]).name} ({state})"

    @property
    def _started(self) -> Running:
        if self._process is None:
            raise RuntimeError(f"not started: {self.argv[0]}")
        return self._process

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_session()


def python_module(
    module: str,
    *arguments: str,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> ChildProcess:
    """Return `python -m module arguments`, not yet started, with unbuffered output."""
    argv = [sys.executable, "-m", module, *arguments]
    return ChildProcess(argv, log_path=log_path, env={"PYTHONUNBUFFERED": "1", **(env or {})}, cwd=cwd)


def wait_until(
    predicate: Callable[[], T],
    *,
    timeout_s: float,
    what: str,
    process: ChildProcess | None = None,
    poll_s: float = _POLL_S,
) -> T:
    """Return the first truthy answer of `predicate`.

    Raises:
        AssertionError: no such answer within `timeout_s`, or `process` ended first; with its log's tail.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        answer = predicate()
        if answer:
            return answer
        if process is not None and not process.is_running:
            code = process.exit_code
            raise AssertionError(
                f"{process.describe()} ended with {code} before {what}\n{process.log_tail()}"
            )
        if time.monotonic() >= deadline_s:
            log = "" if process is None else f"\n{process.log_tail()}"
            raise AssertionError(f"not within {timeout_s} s: {what} (last answer: {answer!r}){log}")
        time.sleep(poll_s)


def descendants(pid: int) -> list[psutil.Process]:
    """Return every process below `pid` now, to be asked about after `pid` ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def assert_gone(processes: Iterable[psutil.Process], *, timeout_s: float = 5.0) -> None:
    """Fail, and kill them, when some of `processes` still run after `timeout_s`."""
    _, left = psutil.wait_procs(list(processes), timeout=timeout_s)
    named = [f"{process.pid} {process.name()}" for process in left if _is_alive(process)]
    _kill_all(left)
    assert not named, f"still running after {timeout_s} s: {', '.join(named)}"


def die_with_the_test_run() -> None:
    """Let the kernel kill this process when its parent ends; for a new child, on Linux."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _session_members(session_id: int) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if p.pid != session_id and _session_of(p.pid) == session_id]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill_all(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


@atexit.register
def _kill_running() -> None:
    for process in list(_running):
        process.kill_session()
