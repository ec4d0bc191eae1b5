"""What the workers of all roles do about assignments that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

_GENERATION_CHECK_S: Final = 0.5
_EXIT_FAILED: Final = 1


class Generational(Protocol):
    """An assignment of partitions."""

    generation_id: int


AnAssignment = TypeVar("AnAssignment", bound=Generational)


async def assignment_of(
    generation_id: int,
    *,
    current: Callable[[], AnAssignment | None],
    changed: asyncio.Condition,
    in_force: Callable[[], int],
) -> AnAssignment | None:
    """Return the assignment of a generation; None once another generation is in force.

    Faust lets records flow a moment before it tells us of the partitions. Those records wait here: ignored, they would
    never be delivered again.

    Args:
        current: What is assigned now.
        changed: Notified when that is another.
        in_force: The generation of the consumer group that is in force now.
    """
    while in_force() == generation_id:
        assignment = current()
        if assignment is not None and assignment.generation_id == generation_id:
            return assignment
        async with changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GENERATION_CHECK_S):
                    await changed.wait()
    return None


def end_at_once(log: Any, event: str, *, reason: str) -> None:
    """End the process: whatever Faust would still commit must not be committed."""
    log.error(event, reason=reason)
    sys.stderr.flush()
    os._exit(_EXIT_FAILED)
