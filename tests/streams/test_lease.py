"""Until when a worker surely owns its partitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from postloop_streams.transport import Lease


def consumer(*, joined_at_s: float | None, heartbeat: Any = None) -> Any:
    coordinator = SimpleNamespace(_do_heartbeat=heartbeat)
    client = SimpleNamespace(_coordinator=coordinator)
    return SimpleNamespace(
        _thread=SimpleNamespace(joined_at_s=joined_at_s, _ensure_consumer=lambda: client),
        coordinator=coordinator,
    )


def test_a_lease_counts_from_the_request_to_join_and_not_from_its_news() -> None:
    lease = Lease(6.0, now_s=lambda: 100.0)
    lease.watch(consumer(joined_at_s=89.0))
    assert lease.left_s() == -5.0


def test_without_word_of_joining_the_lease_waits_for_a_heartbeat() -> None:
    lease = Lease(6.0, now_s=lambda: 100.0)
    lease.watch(consumer(joined_at_s=None))
    assert lease.left_s() < 0


async def test_an_answered_heartbeat_counts_from_when_it_was_sent() -> None:
    now_s = [100.0]

    async def heartbeat() -> bool:
        now_s[0] = 104.0
        return True

    lease = Lease(6.0, now_s=lambda: now_s[0])
    watched = consumer(joined_at_s=None, heartbeat=heartbeat)
    lease.watch(watched)
    await watched.coordinator._do_heartbeat()
    assert lease.left_s() == 2.0


async def test_a_refused_heartbeat_confirms_nothing() -> None:
    async def heartbeat() -> bool:
        return False

    lease = Lease(6.0, now_s=lambda: 100.0)
    watched = consumer(joined_at_s=None, heartbeat=heartbeat)
    lease.watch(watched)
    await watched.coordinator._do_heartbeat()
    assert lease.left_s() < 0
