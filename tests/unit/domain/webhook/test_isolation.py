"""Endpoints that hang beside healthy ones, in a simulation of the rules: no network, and a clock of numbers."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque

import pytest

from postloop.domain.webhook.dispatch import Slots, pick
from postloop.domain.webhook.pace import Pace
from postloop.domain.webhook.schedule import Answer, judge
from tests.unit.domain.webhook.test_endpoints import endpoint

TICK_MS = 40
LATENCY_MS = 40
TIMEOUT_MS = 15_000


def p99_wait_ms(*, hanging: int, healthy: int = 99, lasting_ms: int = 16_000, slots: int = 40) -> int:
    """Return how long the first attempts of healthy endpoints waited for a slot; each has an event every 400 ms."""
    names = [f"slow{n}" for n in range(hanging)] + [f"ok{n}" for n in range(healthy)]
    paces = {name: Pace(endpoint(endpoint_id=name), now_ms=0) for name in names}
    waiting: defaultdict[str, deque[int]] = defaultdict(deque)
    running: list[tuple[int, str]] = []
    waits = []
    room = Slots(total_count=slots, reserved_count=slots // 5)
    for now_ms in range(0, lasting_ms, TICK_MS):
        for number, name in enumerate(names):
            if now_ms % 400 == number % 10 * TICK_MS:
                waiting[name].append(now_ms)
        while running and running[0][0] <= now_ms:
            _, name = heapq.heappop(running)
            answer = Answer(error="timeout") if name.startswith("slow") else Answer(status=200)
            paces[name].ended("first", judge(answer, attempt=1, now_ms=now_ms, jitter=0), now_ms=now_ms)
        queues = [
            pace.queue(first_due=len(waiting[name]), late_due=0, now_ms=now_ms)
            for name, pace in paces.items()
        ]
        for grant in pick(queues, room):
            paces[grant.endpoint_id].began("first", grant.count)
            for _ in range(grant.count):
                arrived_ms = waiting[grant.endpoint_id].popleft()
                is_slow = grant.endpoint_id.startswith("slow")
                heapq.heappush(running, (now_ms + (TIMEOUT_MS if is_slow else LATENCY_MS), grant.endpoint_id))
                waits += [] if is_slow else [now_ms - arrived_ms]
    assert len(waits) > lasting_ms / 400 * healthy * 0.9
    return sorted(waits)[len(waits) * 99 // 100]


@pytest.mark.parametrize("hanging", [1, 5], ids=["one of a hundred", "five"])
def test_endpoints_that_hang_do_not_make_the_others_wait_twice_as_long(hanging: int) -> None:
    baseline_ms = p99_wait_ms(hanging=0)
    assert p99_wait_ms(hanging=hanging) + LATENCY_MS <= 2 * (baseline_ms + LATENCY_MS)
