"""A worker that is told to stop at a moment of its start: `python -m tests.support.stopping_worker MOMENT ROLE`.

A signal from outside hits these moments once in a few dozen starts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.transport.consumer import Fetcher
from mode.threads import QueueServiceThread, ServiceThread

from postloop_streams.transport import Lease
from postloop_streams.worker import main as run

# Long enough for the loop of the main thread to take the signal and to begin stopping.
_SIGNAL_TAKEN_S: Final = 0.05


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _before(owner: type, method: str, *, only_if: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Stop before a coroutine method runs, the first time that its arguments fit, and then let it run."""
    original = getattr(owner, method)
    is_told = False

    async def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_told
        if not is_told and only_if(*args, **kwargs):
            is_told = True
            _stop()
            await asyncio.sleep(_SIGNAL_TAKEN_S)
        return await original(*args, **kwargs)

    setattr(owner, method, stopping)


def _before_the_assignment() -> None:
    watch = Lease.watch

    def stopping(self: Lease, consumer: Any) -> None:
        _stop()
        watch(self, consumer)

    setattr(Lease, "watch", stopping)  # noqa: B010  # what mypy allows


MOMENTS: Final[dict[str, Callable[[], None]]] = {
    "its thread was made": lambda: _before(ServiceThread, "_serve"),
    "it asks to join": lambda: _before(
        GroupCoordinator, "_send_req", only_if=lambda _, request: "Join" in type(request).__name__
    ),
    "it asks for its partitions": lambda: _before(
        GroupCoordinator, "_send_req", only_if=lambda _, request: "Sync" in type(request).__name__
    ),
    "it was given partitions": _before_the_assignment,
    "it asks where to begin": lambda: _before(
        QueueServiceThread,
        "call_thread",
        only_if=lambda _, call, *__, **___: call.__name__ == "fetch_committed_offsets",
    ),
    "it fetches": lambda: _before(Fetcher, "start"),
}


def main(moment: str, role: str) -> int:
    MOMENTS[moment]()
    return run([role])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
