"""The process around a role, before and behind Faust."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A role that has nothing to do, in a worker that is told to stop before Faust listens for signals.
_STOPPED_EARLY = """
import os, sys
from postloop_streams import worker

class Role:
    app = None
    def __init__(self, settings): pass
    def check(self): return []

worker.ROLES["recorder"] = "__main__:Role"
worker.faust.Worker = lambda *_, **__: os.kill(os.getpid(), int(sys.argv[1]))
sys.exit(worker.main(["recorder"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_before_faust_listens_is_a_stop(number: signal.Signals, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLOOP_")}
    argv = [sys.executable, "-c", _STOPPED_EARLY, str(number.value)]
    # In a directory of its own: neither an .env nor a running stack of the checkout may be found.
    done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
