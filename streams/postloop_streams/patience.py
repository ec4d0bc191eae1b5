"""Trying again while the broker is away, and only as long as the partitions are surely ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from aiokafka.errors import KafkaError

from postloop.adapters.health_server import HealthState
from postloop.domain.errors import PostloopError
from postloop_streams.transport import Lease

log = structlog.stdlib.get_logger("postloop.streams")

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
# Nothing is published unless the answer can come before somebody else may own the partition.
_LEASE_MARGIN_S: Final = 1.0

_T = TypeVar("_T")


class AbandonedError(PostloopError):
    """The partition moved on, or the worker stops: whoever owns it now does this again."""


class Patience:
    """Makes attempts until one succeeds.

    Attributes:
        is_stopped: Nothing is begun any more.

    Args:
        lease: How long this worker surely owns its partitions.
    """

    def __init__(self, *, lease: Lease, health: HealthState) -> None:
        self._lease = lease
        self._health = health
        self.is_stopped = False

    async def __call__(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Try until it succeeds, while the partitions are ours; return what the attempt returned.

        Raises:
            AbandonedError: The worker stops meanwhile.
        """
        pause_s = _FIRST_PAUSE_S
        while not self.is_stopped:
            if self._lease.left_s() < _LEASE_MARGIN_S:
                self._health.set("lease", False, "no heartbeat was answered lately")
                await asyncio.sleep(0.1)
                continue
            self._health.set("lease", True)
            try:
                answer = await attempt()
            except (KafkaError, OSError) as error:
                log.warning("broker_unavailable", reason=str(error) or type(error).__name__)
                self._health.set("kafka", False, str(error) or type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            else:
                self._health.set("kafka", True)
                return answer
        raise AbandonedError("the worker stops")
