"""A worker on a machine whose clock a test sets: `python -m tests.support.clocked_worker CLOCK ROLE`.

CLOCK is a file with the seconds that this machine is ahead of ours, read whenever it is asked the time.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from postloop.adapters import clock


def set_clock(path: Path, at: datetime) -> None:
    """Let it be this moment for every worker of this clock; it goes on from there."""
    new = path.with_suffix(".new")
    new.write_text(str((at - datetime.now(UTC)).total_seconds()))
    new.replace(path)


def main(clock_path: str, role: str) -> int:
    ahead = Path(clock_path)
    clock.utc_now = lambda: datetime.now(UTC) + timedelta(seconds=float(ahead.read_text()))
    # Only now: its modules take the clock by name.
    from postloop_streams.worker import main as run

    return run([role])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
