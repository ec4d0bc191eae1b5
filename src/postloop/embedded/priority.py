"""A lower priority for the processes that nobody waits for while they work.

An answer of the API takes a millisecond or two of processor. On two cores that events keep busy it waited a tenth of
a second and more for them; since the others give way it does not.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

NICE: Final = 10
"""A ninth of the share of a process that does not give way, where both want the same core; sched(7)."""
# A user may change a group once in a tenth of a second; more often the kernel says EAGAIN.
_TRIES: Final = 20
_PAUSE_S: Final = 0.15


async def give_way(pid: int) -> None:
    """Let a process that leads a session, and what it started, have what others leave; does what the system can."""
    await _set(pid, NICE)


async def take_back(pid: int) -> None:
    """Undo `give_way`, as far as the system lets us: the nice value needs a privilege, that of a session none."""
    await _set(pid, os.getpriority(os.PRIO_PROCESS, 0))


async def _set(pid: int, nice: int) -> None:
    """Set the nice value of a session and of the processes in it.

    Where Linux groups processes by session (autogroup), a nice value counts among those of a session alone, and the
    session has one of its own.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, nice)
    for _ in range(_TRIES):
        try:
            _note(Path(f"/proc/{pid}/autogroup"), nice)
        except BlockingIOError:
            await asyncio.sleep(_PAUSE_S)
        except OSError:  # another system, or the process ended
            return
        else:
            return


def _note(place: Path, nice: int) -> None:
    file = os.open(place, os.O_WRONLY)
    try:
        os.write(file, str(nice).encode())
    finally:
        os.close(file)
