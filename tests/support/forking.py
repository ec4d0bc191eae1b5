"""Processes forked from one that has imported everything already.

Starting Python and importing the libraries takes one and a half to two seconds of processor time; a fork takes none.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from postloop.cli.main import Postloop
from postloop.domain.roles import ROLES
from tests.support.processes import die_with_the_test_run

_WIDTH = 120
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        *Postloop.modules.values(),
        "postloop_streams.worker",
        *(f"postloop_streams.{role}.app" for role in ROLES),
        __name__,
    ]
)


class Fork:
    """A process that runs a program of ours, with the methods of `subprocess.Popen` that tests need.

    Args:
        argv: `postloop ARGUMENTS` or `postloop_streams ROLE`.
        env: Exactly its environment.
        leads_session: Whether it gets a session of its own.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        out: Path,
        err: Path,
        leads_session: bool = False,
    ) -> None:
        self._argv = list(argv)
        self._process: BaseProcess = _forks.Process(
            target=_become, args=(self._argv, dict(env), cwd, out, err, leads_session)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._argv, timeout or 0.0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, sig)


def _become(
    argv: list[str], env: Mapping[str, str], cwd: Path | None, out: Path, err: Path, leads_session: bool
) -> None:
    from postloop.cli import common
    from postloop.cli.main import main as postloop
    from postloop_streams.worker import main as role

    die_with_the_test_run()
    if leads_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    # Consoles read the width of the terminal when they are made, which was before the fork.
    for console in (common.out, common.err):
        console.width = int(env.get("COLUMNS", _WIDTH))
    sys.argv = argv
    if argv[0] == "postloop":
        postloop()
    sys.exit(role(argv[1:]))
