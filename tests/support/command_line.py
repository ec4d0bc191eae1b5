"""The command line as processes of their own."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.forking import Fork

TIMEOUT_S = 60.0


def run_postloop(*arguments: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `postloop ARGUMENTS` to its end, in exactly this environment."""
    return _run(["postloop", *arguments], env, cwd)


def run_role(role: str, *, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run what `postloop worker ROLE` becomes, to its end."""
    return _run(["postloop_streams", role], env, cwd)


def _run(argv: list[str], env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="postloop-test-") as directory:
        out, err = Path(directory) / "out", Path(directory) / "err"
        process = Fork(argv, env=env, cwd=cwd, out=out, err=err)
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            raise AssertionError(
                f"{argv} still runs after {TIMEOUT_S} s: {out.read_text()}{err.read_text()}"
            ) from None
        return subprocess.CompletedProcess(argv, code, out.read_text(), err.read_text())
