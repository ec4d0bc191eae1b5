"""Turns over real queues, without a broker and without time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.health_server import HealthState
from postloop.adapters.webhook_queue import WebhookQueue
from postloop.adapters.webhook_queue_file import Placed
from postloop.contracts.webhook_command import RecoverV1, ResendV1, command_from_bytes, command_to_bytes
from postloop.contracts.webhook_delivery import DeliveryV1
from postloop.domain.webhook.dispatch import Slots
from postloop.domain.webhook.endpoint import Endpoint
from postloop.domain.webhook.event_types import TEST_TYPE
from postloop.domain.webhook.matching import Directory
from postloop.domain.webhook.notice import webhook_id
from postloop.domain.webhook.schedule import Answer
from postloop_streams.patience import Patience
from postloop_streams.transport import Lease
from postloop_streams.webhooks.assignment import Assignment
from postloop_streams.webhooks.desk import Desk, Ended, Job
from postloop_streams.webhooks.logbook import given_up_log, outcome_of
from tests.unit.contracts.webhooks import endpoint

NOW = 1_795_435_140_000


class World:
    """A desk with one partition."""

    def __init__(self, path: Path, **fields: Any) -> None:
        self.directory = Directory()
        self.removed: set[str] = set()
        self.desk = Desk(self.directory, self.removed, slots=Slots(), jitter=lambda: 0.0)
        self.desk.add(0, WebhookQueue(path / "0.sqlite"))
        self.endpoint: Endpoint = replace(endpoint(), state="active", cause="", is_batched=False, **fields)
        self.directory.put(self.endpoint)

    def put(self, count: int, *, kind: str = "email.bounced") -> list[str]:
        name = self.endpoint.endpoint_id
        deliveries = [
            DeliveryV1(
                webhook_id=webhook_id(event_id=f"e{n}", endpoint_id=name),
                endpoint_id=name,
                event_id=f"e{n}",
                type=kind,
                body='{"type":"x","timestamp":"2026-01-02T00:00:00.000Z","data":{}}',
                arrived_ms=NOW,
                due_ms=NOW,
            )
            for n in range(count)
        ]
        self.desk.put(0, [Placed(one, n) for n, one in enumerate(deliveries)], position=count)
        return [one.webhook_id for one in deliveries]

    def jobs(self, *, now_ms: int = NOW) -> list[Job]:
        return self.desk.turn([], now_ms=now_ms)[1]

    def end(self, jobs: list[Job], status: int, *, now_ms: int = NOW) -> list[Any]:
        ended = [Ended(job=job, answer=Answer(status=status), at_ms=now_ms) for job in jobs]
        return self.desk.turn(ended, now_ms=now_ms)[0]

    @property
    def counts(self) -> tuple[int, int]:
        return self.desk.counts().get(self.endpoint.endpoint_id, (0, 0))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.desk.close()


def test_what_is_due_is_attempted_once_until_its_end_is_known(world: World) -> None:
    (name,) = world.put(1)
    (job,) = world.jobs()
    assert (job.message_id, job.attempt) == (name, 1)
    assert world.jobs() == []
    world.end([job], 204)
    assert world.jobs(now_ms=NOW + 10**9) == []


def test_a_failure_waits_for_its_time_and_keeps_its_id(world: World) -> None:
    world.put(1)
    (job,) = world.jobs()
    world.end([job], 500)
    assert world.jobs(now_ms=NOW + 4_999) == []
    (again,) = world.jobs(now_ms=NOW + 5_000)
    assert (again.message_id, again.attempt) == (job.message_id, 2)


def test_an_endpoint_has_no_more_running_than_it_has_earned(world: World) -> None:
    world.put(50)
    first = world.jobs()
    assert len(first) == 4
    assert world.jobs() == []
    _, more = world.desk.turn(
        [Ended(job=job, answer=Answer(status=200), at_ms=NOW) for job in first], now_ms=NOW
    )
    assert len(more) == 8


def test_an_attempt_of_which_nothing_is_known_is_made_again(world: World) -> None:
    world.put(1)
    jobs = world.jobs()
    world.desk.abandon(jobs)
    assert [job.attempt for job in world.jobs()] == [1]


def test_gone_disables_and_a_test_never_does(world: World) -> None:
    world.put(1)
    (judged,) = world.end(world.jobs(), 410)
    assert judged.disable == "gone"
    assert world.counts == (0, 1)


def test_a_test_is_made_once_whatever_comes_of_it(world: World) -> None:
    world.put(1, kind=TEST_TYPE)
    (judged,) = world.end(world.jobs(), 500)
    assert (judged.disable, outcome_of(judged)) == ("", "given_up")
    assert world.counts == (0, 0)


def test_what_waits_for_a_disabled_endpoint_can_be_recovered_and_for_a_removed_one_is_forgotten(
    world: World,
) -> None:
    world.put(3)
    world.directory.put(replace(world.endpoint, state="disabled", cause="gone"))
    world.desk.settle_endpoints(now_ms=NOW)
    assert world.counts == (0, 3)
    name = world.endpoint.endpoint_id
    command = RecoverV1(command_id="c", endpoint_id=name, since_ms=NOW - 1)
    assert world.desk.command(0, command, now_ms=NOW) == 3
    assert world.counts == (3, 0)
    world.removed.add(name)
    world.desk.settle_endpoints(now_ms=NOW)
    assert world.counts == (0, 0)


def test_a_delivery_that_was_made_is_sent_again_on_command(world: World) -> None:
    (name,) = world.put(1)
    world.end(world.jobs(), 204)
    command = ResendV1(command_id="c", endpoint_id=world.endpoint.endpoint_id, webhook_ids=(name,))
    assert command_from_bytes(command_to_bytes(command)) == command
    assert world.desk.command(0, command, now_ms=NOW) == 1
    assert [job.message_id for job in world.jobs()] == [name]


def test_an_endpoint_that_is_not_known_yet_lets_its_deliveries_wait(world: World) -> None:
    world.directory.remove(world.endpoint.endpoint_id)
    world.put(2)
    assert world.jobs() == []
    assert world.counts == (2, 0)


def assignment_of(world: World) -> Assignment:
    patience = Patience(lease=Lease(30.0), health=HealthState([], stuck_after_s=60.0))
    return Assignment(0, frozenset({0}), desk=world.desk, patience=patience, write=None)  # type: ignore[arg-type]


async def test_who_is_cancelled_waits_for_his_thread_before_the_next_call_begins(world: World) -> None:
    assignment, release, calls = assignment_of(world), threading.Event(), []
    first = asyncio.create_task(assignment.call(release.wait, 5))
    while not assignment._lock.locked():
        await asyncio.sleep(0)
    second = asyncio.create_task(assignment.call(calls.append, "second"))
    first.cancel()
    await asyncio.sleep(0.05)
    assert not first.done() and not calls
    release.set()
    await second
    assert first.cancelled() and calls == ["second"]


async def test_an_attempt_that_ends_while_a_turn_takes_the_others_is_not_lost(world: World) -> None:
    world.put(1)
    (job,) = world.jobs()
    begun, release = asyncio.Event(), asyncio.Event()

    class Slow:
        async def make(self, job: Job) -> Ended:
            begun.set()
            await release.wait()
            return Ended(job=job, answer=Answer(status=204), at_ms=NOW)

    assignment = assignment_of(world)
    assignment.start(job, Slow())  # type: ignore[arg-type]
    await begun.wait()
    assignment.ended = []  # what a turn does
    release.set()
    await assignment.wake.wait()
    assert [one.job for one in assignment.ended] == [job]


def test_what_is_given_up_without_an_attempt_is_told_once(world: World) -> None:
    names = world.put(3)
    disabled = replace(world.endpoint, state="disabled", cause="gone", version=2)
    world.directory.put(disabled)
    assert world.desk.settle_endpoints(now_ms=NOW + 1) == 3
    log = given_up_log(world.desk.take_given_up(), world.directory)
    assert log is not None
    told = {
        (row.webhook_id, row.cause, row.attempt_count, row.account_id, bool(row.body)) for row in log.dead
    }
    assert told == {(name, "disabled", 0, "acme", True) for name in names}
    assert given_up_log(world.desk.take_given_up(), world.directory) is None


def test_a_test_that_is_given_up_is_missed_by_nobody(world: World) -> None:
    put_test(world)
    world.directory.put(replace(world.endpoint, state="disabled", cause="gone", version=2))
    assert world.desk.settle_endpoints(now_ms=NOW + 1) == 1
    assert world.desk.take_given_up() == []


def test_a_member_that_is_sent_again_while_its_batch_waits_takes_the_batch_along(tmp_path: Path) -> None:
    """The others went out without it, under the id of all."""
    world = World(tmp_path)
    world.endpoint = replace(world.endpoint, is_batched=True)
    world.directory.put(world.endpoint)
    names = world.put(3)
    (first,) = world.jobs()
    assert run(world, [first], 500) == []
    command = ResendV1(command_id="c", endpoint_id=world.endpoint.endpoint_id, webhook_ids=(names[0],))
    assert world.desk.command(0, command, now_ms=NOW) == 1
    (again,) = world.jobs()
    assert (again.message_id, again.body) == (first.message_id, first.body)
    # One that was delivered goes alone.
    assert run(world, [again], 204) == []
    assert world.desk.command(0, command, now_ms=NOW) == 1
    (alone,) = world.jobs()
    assert [claimed.webhook_id for claimed in alone.claimed] == [names[0]]
    assert alone.message_id != first.message_id
    world.desk.close()


def put_test(world: World) -> str:
    name = world.endpoint.endpoint_id
    told = DeliveryV1(
        webhook_id=webhook_id(event_id="t1", endpoint_id=name),
        endpoint_id=name,
        event_id="t1",
        type=TEST_TYPE,
        body='{"type":"webhook.test","timestamp":"2026-01-02T00:00:00.000Z","data":{"is_test":true}}',
        arrived_ms=NOW,
        due_ms=NOW,
    )
    world.desk.put(0, [Placed(told, 10**6)], position=10**6 + 1)
    return told.webhook_id


def run(world: World, jobs: list[Job], status: int) -> list[Job]:
    """Answer attempts and return what is begun then."""
    ended = [Ended(job=job, answer=Answer(status=status), at_ms=NOW) for job in jobs]
    return world.desk.turn(ended, now_ms=NOW)[1]


@pytest.mark.parametrize("is_batched", [False, True], ids=["single", "batched"])
def test_a_test_waits_neither_for_an_open_circuit_nor_behind_what_is_due(
    tmp_path: Path, is_batched: bool
) -> None:
    """The endpoint that fails is the one that is tested; the command gave up, and said that no worker runs."""
    world = World(tmp_path)
    world.endpoint = replace(world.endpoint, is_batched=is_batched)
    world.directory.put(world.endpoint)
    world.put(3_000)
    jobs = world.jobs()
    for _ in range(20):
        jobs = run(world, jobs, 500)
    assert jobs == [] and world.counts[0] == 3_000
    name = put_test(world)
    (job,) = world.jobs()
    assert [claimed.webhook_id for claimed in job.claimed] == [name]
    assert (b'"type":"batch"' in job.body) is is_batched
    assert run(world, [job], 500) == []
    assert world.counts[0] == 3_000
    assert world.jobs() == []  # made once
    world.desk.close()


def test_a_test_that_stood_ready_behind_a_failure_is_begun_again(world: World) -> None:
    put_test(world)
    (job,) = world.jobs()
    world.desk.abandon([job])
    assert world.jobs() == [job]


def test_a_test_is_not_sent_to_an_endpoint_that_is_paused(world: World) -> None:
    world.directory.put(replace(world.endpoint, state="paused", version=2))
    put_test(world)
    assert world.jobs() == []


def test_a_test_waits_for_the_record_of_its_endpoint(world: World) -> None:
    world.directory.remove(world.endpoint.endpoint_id)
    put_test(world)
    assert world.jobs() == []
    world.directory.put(world.endpoint)
    assert len(world.jobs()) == 1


def test_a_batch_holds_no_test(tmp_path: Path) -> None:
    """What became of its other members was told as that of a test."""
    world = World(tmp_path)
    world.endpoint = replace(world.endpoint, is_batched=True)
    world.directory.put(world.endpoint)
    world.put(3)
    put_test(world)
    world.desk.owned[0].tests.clear()  # as after a restart
    world.put(5)
    kinds = [{claimed.type for claimed in job.claimed} for job in world.jobs()]
    assert {TEST_TYPE} in kinds and {"email.bounced"} in kinds
    assert all(len(kind) == 1 for kind in kinds)
    world.desk.close()


class Held:
    """Attempts that end when told."""

    def __init__(self) -> None:
        self.open: dict[str, asyncio.Future[int]] = {}

    async def make(self, job: Job) -> Ended:
        self.open[job.message_id] = asyncio.get_running_loop().create_future()
        status = await self.open[job.message_id]
        del self.open[job.message_id]
        return Ended(job=job, answer=Answer(status=status), at_ms=NOW)

    async def answer(self, status: int) -> None:
        """Answer the attempt that was begun first, and let happen what follows."""
        next(iter(self.open.values())).set_result(status)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[World]:
    """An endpoint that takes two attempts at once, and has earned that more stand ready."""
    made = World(tmp_path, concurrency=2)
    made.put(8)
    while (jobs := made.jobs()) and len(jobs) < 4:
        made.end(jobs, 204)
        made.put(8)
    made.desk.abandon(jobs)
    yield made
    made.desk.close()


async def test_no_more_run_at_once_than_the_endpoint_allows_and_the_next_begins_when_one_ends(
    narrow: World,
) -> None:
    assignment, held, jobs = assignment_of(narrow), Held(), narrow.jobs()
    assert len(jobs) == 4
    for job in jobs:
        assignment.start(job, held)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert len(held.open) == 2
    for left in (2, 2, 1, 0):
        await held.answer(204)
        assert len(held.open) == left
    assert len(assignment.ended) == 4 and not assignment.returned


async def test_what_stood_ready_is_handed_back_when_the_endpoint_fails(narrow: World) -> None:
    assignment, held, jobs = assignment_of(narrow), Held(), narrow.jobs()
    for job in jobs:
        assignment.start(job, held)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await held.answer(500)
    assert len(held.open) == 1 and assignment.returned == jobs[2:]
    waiting_before = narrow.counts[0]
    narrow.desk.abandon(assignment.returned)
    assert narrow.counts[0] == waiting_before
    assert {job.message_id for job in narrow.jobs()} >= {job.message_id for job in jobs[2:3]}
    await held.answer(204)


async def test_nothing_is_begun_once_the_partitions_are_given_up(narrow: World) -> None:
    assignment, held, jobs = assignment_of(narrow), Held(), narrow.jobs()
    for job in jobs:
        assignment.start(job, held)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assignment.is_closed = True
    await held.answer(204)
    assert len(held.open) == 1


async def test_giving_up_abandons_the_attempt_that_runs_now_not_the_one_before_it(narrow: World) -> None:
    assignment, held, jobs = assignment_of(narrow), Held(), narrow.jobs()
    for job in jobs:
        assignment.start(job, held)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await held.answer(204)
    assert list(assignment.running.values()) == [jobs[2], jobs[1]]
    running = list(assignment.running)
    narrow.desk.turn(assignment.ended, now_ms=NOW)
    assignment.ended.clear()
    abandoned: list[Job] = []
    narrow.desk.abandon = abandoned.extend  # type: ignore[method-assign,assignment]
    await assignment.close()
    assert abandoned == [jobs[2], jobs[1], jobs[3]]
    await asyncio.gather(*running, return_exceptions=True)
    assert not assignment.running and not assignment.ended
