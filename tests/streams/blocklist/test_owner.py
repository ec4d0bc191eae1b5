"""What a worker does with the signals of its partitions between two rebalances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from postloop.adapters.errors import UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import BlocklistMetrics
from postloop.adapters.partition_store import PartitionStore
from postloop.contracts.blocklist_state import ENTRY_PREFIX, signals_to_bytes
from postloop.domain.blocklist import DEFAULT_POLICY, Signal
from postloop.domain.errors import DataError
from postloop_streams.blocklist import owner as owner_module
from postloop_streams.blocklist.opening import Opened
from postloop_streams.blocklist.owner import Outside, Owner
from postloop_streams.blocklist.work import Work
from postloop_streams.patience import AbandonedError
from tests.unit.domain.blocklist.histories import NOW_MS, hard

DAY_MS = 86_400_000
GENERATION = 7


class World:
    """A broker and files that can be away, and what was asked of them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.generation = GENERATION
        self.published: list[str] = []
        self.failed: list[str] = []
        self.refused: list[int] = []
        self.opening_fails: list[Exception] = []
        self.publishing_fails: Exception | None = None
        self.may_publish = asyncio.Event()
        self.may_publish.set()
        self.stores = {n: stack.enter_context(PartitionStore(directory / f"{n}.sqlite")) for n in range(2)}
        self.health = HealthState(["partitions"])
        self.owner = Owner(
            Outside(
                open_stores=self._open,
                publish=self._publish,
                generation=lambda: self.generation,
                fail=self.failed.append,
            ),
            policy=DEFAULT_POLICY,
            guard=None,
            form="clear",
            metrics=BlocklistMetrics(),
            health=self.health,
        )

    async def _open(self, numbers: Iterable[int]) -> dict[int, Opened]:
        if self.opening_fails:
            raise self.opening_fails.pop(0)
        return {n: Opened(store=self.stores[n], entries=0, restored=0) for n in numbers}

    async def _publish(self, partition: int, work: Work) -> None:
        await self.may_publish.wait()
        if self.publishing_fails is not None:
            raise self.publishing_fails
        self.published += [record.topic for record in work.outgoing]

    async def take(self, *signals: Signal, generation: int = GENERATION, number: int = 0) -> bool:
        """Return whether the signals were acknowledged."""
        acks: list[bool] = []
        values = [signals_to_bytes(list(signals))]
        await self.owner.take(generation, number, values, lambda: acks.append(True), refuse=self.refuse)
        return bool(acks)

    async def refuse(self, refused: Sequence[tuple[int, DataError]]) -> None:
        if self.publishing_fails is not None:
            raise self.publishing_fails
        self.refused += [place for place, _ in refused]

    def kept(self, number: int = 0) -> int:
        return self.stores[number].count(ENTRY_PREFIX)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(owner_module.clock, "now_ms", lambda: NOW_MS)
    monkeypatch.setattr(owner_module, "_OPENING_PAUSE_S", 0.0)
    monkeypatch.setattr(owner_module, "LEASES_EVERY_S", 0.005)
    with ExitStack() as stack:
        made = World(tmp_path, stack)
        yield made
        await made.owner.revoke()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_signals_are_acknowledged_when_their_events_are_published_and_kept(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    world.may_publish.clear()
    taking = asyncio.create_task(world.take(hard(NOW_MS)))
    await asyncio.sleep(0.02)
    assert not taking.done()
    world.may_publish.set()
    assert await taking
    assert world.published == ["blocklist.insert", "blocklist.state"]
    assert world.kept() == 1


async def test_records_that_come_before_the_assignment_wait_for_it(world: World) -> None:
    taking = asyncio.create_task(world.take(hard(NOW_MS)))
    await asyncio.sleep(0)
    await world.owner.assign(GENERATION, [0])
    assert await taking


async def test_records_of_a_generation_that_is_over_are_left_to_the_next_owner(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    world.generation += 1
    assert not await world.take(hard(NOW_MS), generation=GENERATION - 1)
    assert world.kept() == 0


async def test_nothing_is_acknowledged_once_the_partitions_are_gone(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    assert await world.take(hard(NOW_MS))
    world.generation += 1
    await world.owner.revoke()
    assert not await world.take(hard(NOW_MS))


async def test_another_partition_than_those_assigned_is_not_touched(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    assert not await world.take(hard(NOW_MS), number=1)
    assert world.kept(1) == 0


async def test_what_could_not_be_published_is_neither_kept_nor_acknowledged(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    world.publishing_fails = AbandonedError("the worker stops")
    assert not await world.take(hard(NOW_MS))
    assert world.kept() == 0
    assert not world.failed


async def test_state_that_cannot_be_read_is_waited_for_and_said(world: World) -> None:
    world.opening_fails = [UnavailableError("ClickHouse is away")] * 3
    reasons: set[str] = set()
    await world.owner.assign(GENERATION, [0])
    taking = asyncio.create_task(world.take(hard(NOW_MS)))
    while not taking.done():
        reasons.add(world.health.components["partitions"].reason)
        await asyncio.sleep(0)
    assert taking.result()
    assert "ClickHouse is away" in reasons
    assert world.health.components["partitions"].ok


async def test_a_fault_while_opening_ends_the_role(world: World) -> None:
    world.opening_fails = [ValueError("a fault of ours")]
    await world.owner.assign(GENERATION, [0])
    await until(lambda: bool(world.failed))
    assert world.failed == ["ValueError: a fault of ours"]


async def test_a_record_that_is_none_of_ours_is_a_dead_letter_and_the_next_is_applied(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    acks: list[int] = []
    values = [b"not json", None, b"{}", b"[" * 100_000, signals_to_bytes([hard(NOW_MS)])]
    await world.owner.take(GENERATION, 0, values, lambda: acks.append(1), refuse=world.refuse)
    assert acks == [1]
    assert world.refused == [0, 1, 2, 3]
    assert world.kept() == 1


async def test_a_record_whose_dead_letter_could_not_be_published_is_not_acknowledged(world: World) -> None:
    await world.owner.assign(GENERATION, [0])
    world.publishing_fails = AbandonedError("the worker stops")
    acks: list[int] = []
    await world.owner.take(GENERATION, 0, [b"null"], lambda: acks.append(1), refuse=world.refuse)
    assert not acks


async def test_leases_end_in_every_partition_by_themselves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.owner.assign(GENERATION, [0, 1])
    for number in (0, 1):
        assert await world.take(replace(hard(NOW_MS), recipient=f"u{number}@gmail.com"), number=number)
    await until(lambda: not world.owner.has_due_leases)
    monkeypatch.setattr(owner_module.clock, "now_ms", lambda: NOW_MS + 14 * DAY_MS)
    await until(lambda: world.published.count("blocklist.expire") == 2)
