"""Who of a stack comes first while there is more to do than processors: whom somebody waits for.

An answer of the API takes a millisecond or two of processor. On two cores that events keep busy it waited a tenth of
a second and more for them; since the others give way it does not. ClickHouse comes between: pages of the API wait for
its answers as well as inserts do, and it tells its own threads apart (`chserver.engine`).
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

# A user may change a group once in a tenth of a second; more often the kernel says EAGAIN.
_TRIES: Final = 20
_PAUSE_S: Final = 0.15


class Priority(NamedTuple):
    """How a process that leads a session, and what it started, share processors with others.

    Attributes:
        nice: See sched(7): with 10 a ninth of the share of who has 0, where both want the same core. Below 0 only a
            privileged user gets it.
        ranks_threads: It ranks its threads itself, so only the session as a whole gets the nice value.
    """

    nice: int
    ranks_threads: bool = False


LATER: Final = Priority(10)
"""Nobody waits while they work."""
STORE: Final = Priority(3, ranks_threads=True)
"""Some of its threads are waited for."""
FIRST: Final = Priority(-5)
"""Somebody waits for each answer."""


async def prioritize(pid: int, priority: Priority) -> None:
    """Let the session of a process share processors like that; does what the system can."""
    await _set(pid, priority)


async def take_back(pid: int, priority: Priority) -> None:
    """Undo `prioritize`, as far as the system lets us: the nice value needs a privilege, that of a session none."""
    await _set(pid, priority._replace(nice=os.getpriority(os.PRIO_PROCESS, 0)))


async def _set(pid: int, priority: Priority) -> None:
    """Set the nice value of a session and of the processes in it.

    Where Linux groups processes by session (autogroup), a nice value counts among those of a session alone, and the
    session has one of its own.
    """
    if not priority.ranks_threads:
        with suppress(OSError):
            os.setpriority(os.PRIO_PGRP, pid, priority.nice)
    for _ in range(_TRIES):
        try:
            _note(Path(f"/proc/{pid}/autogroup"), priority.nice)
        except BlockingIOError:
            await asyncio.sleep(_PAUSE_S)
        except OSError:  # another system, no such privilege, or the process ended
            return
        else:
            return


def _note(place: Path, nice: int) -> None:
    file = os.open(place, os.O_WRONLY)
    try:
        os.write(file, str(nice).encode())
    finally:
        os.close(file)
