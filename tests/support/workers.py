"""Workers of Postloop as processes of a test."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.forking import Fork
from tests.support.ports import free_port
from tests.support.processes import ChildProcess, Running, python_module


class _Worker(ChildProcess):
    """A worker as `python -m postloop_streams ROLE` runs it, without the time that the imports take."""

    def _spawn(self, env: Mapping[str, str], cwd: Path | None) -> Running:
        log = self.log_path
        return Fork(self.argv, env=env, cwd=cwd, out=log, err=log, leads_session=True)


def start_worker(
    role: str, values: Mapping[str, Any], *, log_path: Path, clock: Path | None = None
) -> tuple[ChildProcess, int]:
    """Start a worker with these settings; return its process and the port of its health.

    Args:
        clock: Its machine has another time, see `clocked_worker`.
    """
    port = free_port()
    settings = {**values, "health_port": port}
    env = {f"POSTLOOP_{name.upper()}": str(value) for name, value in settings.items()}
    if clock is None:
        return _Worker(["postloop_streams", role], log_path=log_path, env=env).start(), port
    process = python_module("tests.support.clocked_worker", str(clock), role, log_path=log_path, env=env)
    return process.start(), port


def says_ready(port: int) -> bool:
    """Return whether the worker with this port of health says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
