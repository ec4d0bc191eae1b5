"""The command line as processes of their own, forked from one that has imported everything already.

Starting Python and importing the libraries takes a second and a half of processor time; a fork takes none.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from postloop.domain.roles import ROLES

TIMEOUT_S = 60.0
_WIDTH = 120
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "postloop.cli.main",
        "postloop_streams.worker",
        *(f"postloop_streams.{role}.app" for role in ROLES),
        __name__,
    ]
)


def run_postloop(*arguments: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `postloop ARGUMENTS` to its end, in exactly this environment."""
    return _run(["postloop", *arguments], env, cwd)


def run_role(role: str, *, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run what `postloop worker ROLE` becomes, to its end."""
    return _run(["postloop_streams", role], env, cwd)


def _run(argv: list[str], env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="postloop-test-") as directory:
        out, err = Path(directory) / "out", Path(directory) / "err"
        process = _forks.Process(target=_become, args=(argv, dict(env), cwd, out, err))
        process.start()
        process.join(TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{argv} still runs after {TIMEOUT_S} s: {out.read_text()}{err.read_text()}")
        return subprocess.CompletedProcess(argv, process.exitcode, out.read_text(), err.read_text())


def _become(argv: list[str], env: Mapping[str, str], cwd: Path, out: Path, err: Path) -> None:
    from postloop.cli import common
    from postloop.cli.main import main as postloop
    from postloop_streams.worker import main as role

    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    # Consoles read the width of the terminal when they are made, which was before the fork.
    for console in (common.out, common.err):
        console.width = int(env.get("COLUMNS", _WIDTH))
    sys.argv = argv
    if argv[0] == "postloop":
        postloop()
    sys.exit(role(argv[1:]))
