"""The frame of a role: what it starts is there before the first partitions are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP
from prometheus_client import CollectorRegistry

from postloop.adapters.errors import UnavailableError
from postloop.contracts.deadletter import DeadLetterV1
from postloop.settings import Settings
from postloop_streams.role import Role
from postloop_streams.transport import Lease


class Unwatched(Lease):
    """A lease that follows nobody's heartbeats."""

    def watch(self, consumer: Any) -> None:
        pass


class Told(Role):
    """A role that writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(
            Settings(health_port=0), "told", parts=[], stuck_after_s=60.0, registry=CollectorRegistry()
        )
        # No thread of Faust's runs here, whose heartbeats the lease would follow.
        self.app = SimpleNamespace(consumer=None, consumer_generation_id=3)
        self.lease = Unwatched(10.0)
        self.told: list[str] = []

    def started(self) -> None:
        self.told.append("started")

    async def assigned(self, generation_id: int, tps: Collection[TP]) -> None:
        self.told.append(f"assigned {generation_id}: {len(tps)}")

    async def revoked(self) -> None:
        self.told.append("revoked")


async def told(*calls: str) -> list[str]:
    """Return what a role is told when Faust makes these calls, one after the other."""
    role = Told()
    arguments: dict[str, tuple[Any, ...]] = {"_on_assigned": (role.app, {TP("t", 0), TP("t", 1)})}
    for call in calls:
        await getattr(role, call)(*arguments.get(call, ()))
    await role._health_server.stop()
    return role.told


def test_partitions_that_come_before_faust_runs_the_tasks_find_the_role_started() -> None:
    calls = ["_on_assigned", "_serve_health", "_on_assigned"]
    assert asyncio.run(told(*calls)) == ["started", "assigned 3: 2", "assigned 3: 2"]


def test_a_role_that_waits_for_its_partitions_has_started() -> None:
    assert asyncio.run(told("_serve_health", "_on_assigned")) == ["started", "assigned 3: 2"]


async def published_from_a_thread(error: Exception | None) -> list[str]:
    """Return what a thread hears that publishes a dead letter through the role's loop."""
    role = Told()
    role._start_once()
    taken: list[str] = []

    async def publish(letters: Sequence[DeadLetterV1]) -> None:
        if error is not None:
            raise error
        taken.append("published")

    try:
        await asyncio.to_thread(role.from_thread(publish), [])
    except UnavailableError as unavailable:
        taken.append(str(unavailable))
    return taken


def test_another_thread_publishes_dead_letters_and_hears_of_a_broker_that_is_away() -> None:
    assert asyncio.run(published_from_a_thread(None)) == ["published"]
    assert asyncio.run(published_from_a_thread(KafkaConnectionError("away"))) == [
        "dead letters: KafkaConnectionError: away"
    ]
    assert asyncio.run(published_from_a_thread(OSError("no ids"))) == ["dead letters: no ids"]


def test_a_thread_that_publishes_behind_the_end_of_the_loop_is_no_fault() -> None:
    role = Told()

    async def start() -> None:
        role._start_once()

    async def publish(letters: Sequence[DeadLetterV1]) -> None:
        raise AssertionError("nobody runs this")

    asyncio.run(start())
    with pytest.raises(UnavailableError):
        role.from_thread(publish)([])
