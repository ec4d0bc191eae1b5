"""The queues of all partitions that a worker owns, worked on in turns. Blocks, and never runs twice at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from postloop.adapters.webhook_queue import Claimed, Result, WebhookQueue
from postloop.adapters.webhook_queue_changelog import QueueChangelog
from postloop.adapters.webhook_queue_file import Placed
from postloop.adapters.webhook_queue_upkeep import GivenUp, QueueUpkeep
from postloop.contracts.webhook_command import ResendV1, WebhookCommandV1
from postloop.domain.webhook.bodies import batch_body
from postloop.domain.webhook.dispatch import Lane, Queue, Slots, pick
from postloop.domain.webhook.endpoint import DisableCause, Endpoint
from postloop.domain.webhook.event_types import TEST_TYPE
from postloop.domain.webhook.health import Health
from postloop.domain.webhook.matching import Directory
from postloop.domain.webhook.pace import Pace
from postloop.domain.webhook.schedule import Answer, Judgement, judge

log = structlog.stdlib.get_logger("postloop.webhooks")

# Due deliveries are counted up to this; more than an endpoint may have running.
_COUNT_LIMIT: Final = 200
_UPKEEP_ROWS: Final = 2_000


@dataclass
class OwnedQueue:
    """One open partition.

    Attributes:
        tests: Webhooks of tests that somebody waits for -> their endpoints; they pass over what else waits.
    """

    number: int
    queue: WebhookQueue
    changelog: QueueChangelog
    upkeep: QueueUpkeep
    paces: dict[str, Pace] = field(default_factory=dict)
    kept_health: dict[str, Health] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One attempt to make: a delivery alone, or a batch of them."""

    number: int
    endpoint: Endpoint
    lane: Lane
    message_id: str
    body: bytes
    claimed: tuple[Claimed, ...]

    @property
    def attempt(self) -> int:
        """Its number, from 1."""
        return self.claimed[0].attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that was made."""

    job: Job
    answer: Answer
    at_ms: int
    latency_ms: float = 0.0
    response: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An attempt, what becomes of it, and why its endpoint is to be disabled; empty: it is not."""

    ended: Ended
    judgement: Judgement
    disable: DisableCause = ""


class Desk:
    """Takes deliveries in, says which attempts are to be made now, and writes down what came of them.

    Args:
        jitter: Random numbers in [0, 1).
    """

    def __init__(
        self,
        directory: Directory,
        removed: set[str],
        *,
        slots: Slots,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._directory = directory
        self._removed = removed
        self._slots = slots
        self._jitter = jitter
        self.owned: dict[int, OwnedQueue] = {}

    def add(self, number: int, queue: WebhookQueue) -> None:
        """Own a partition whose file is up to date."""
        self.owned[number] = OwnedQueue(number, queue, QueueChangelog(queue.file), QueueUpkeep(queue.file))

    def close(self) -> None:
        """Let go of all files."""
        for one in self.owned.values():
            one.queue.close()
        self.owned.clear()

    def put(self, number: int, placed: Sequence[Placed], *, position: int) -> int:
        """Keep deliveries of consecutive records; return how many are new."""
        one = self.owned[number]
        count = one.queue.put(placed, position=position)
        told = (item.delivery for item in placed if item.delivery.type == TEST_TYPE)
        one.tests.update((delivery.webhook_id, delivery.endpoint_id) for delivery in told)
        return count

    def command(self, number: int, command: WebhookCommandV1, *, now_ms: int) -> int:
        """Do what an operator asks for; return how many deliveries it touches."""
        upkeep = self.owned[number].upkeep
        if isinstance(command, ResendV1):
            return upkeep.resend(command.webhook_ids, now_ms=now_ms)
        count = 0
        while done := upkeep.recover(command.endpoint_id, since_ms=command.since_ms, now_ms=now_ms):
            count += done
        return count

    # -- attempts ----------------------------------------------------------------------------------------------

    def turn(self, ended: Sequence[Ended], *, now_ms: int) -> tuple[list[Judged], list[Job]]:
        """Write down what came of attempts; return their judgements, and the attempts that are to be made now."""
        judged = self._record(ended, now_ms)
        return judged, list(self._claim(now_ms))

    def _record(self, ended: Sequence[Ended], now_ms: int) -> list[Judged]:
        judged = [self._judge(one, now_ms) for one in ended if one.job.number in self.owned]
        for number in {one.ended.job.number for one in judged}:
            results = [
                _result(claimed, one)
                for one in judged
                if one.ended.job.number == number
                for claimed in one.ended.job.claimed
            ]
            self.owned[number].queue.record(results)
        return judged

    def _judge(self, ended: Ended, now_ms: int) -> Judged:
        job = ended.job
        judgement = judge(ended.answer, attempt=job.attempt, now_ms=now_ms, jitter=self._jitter())
        pace = self.owned[job.number].paces.get(job.endpoint.endpoint_id)
        is_test = job.claimed[0].type == TEST_TYPE
        if is_test:  # one attempt, which says nothing about the endpoint
            judgement = replace(judgement, counts=False, disables=False)
        is_hopeless = pace is not None and pace.ended(job.lane, judgement, now_ms=now_ms)
        cause: DisableCause = "gone" if judgement.disables else "failing" if is_hopeless else ""
        return Judged(ended=ended, judgement=judgement, disable=cause)

    def _claim(self, now_ms: int) -> Iterator[Job]:
        for one in self.owned.values():
            yield from self._claim_tests(one, now_ms)
        queues = {
            f"{one.number}|{name}": (one, pace, queue)
            for one in self.owned.values()
            for name, pace, queue in self._queues(one, now_ms)
        }
        asked = [replace(queue, endpoint_id=key) for key, (_, _, queue) in queues.items()]
        for grant in pick(asked, self._slots):
            one, pace, _ = queues[grant.endpoint_id]
            jobs = list(_jobs(one, pace.endpoint, grant.lane, grant.count, now_ms))
            pace.began(grant.lane, len(jobs))
            yield from jobs

    def _claim_tests(self, one: OwnedQueue, now_ms: int) -> Iterator[Job]:
        """Yield the tests of active endpoints at once: most of all what failed is tested, and then much waits."""
        for webhook_id, name in list(one.tests.items()):
            pace = self._pace(one, name, now_ms)
            if pace is None:
                continue  # the endpoint is new, and its record is on the way
            del one.tests[webhook_id]
            if pace.endpoint.state != "active":
                continue
            claimed = one.queue.claim_one(name, webhook_id, is_batched=pace.endpoint.is_batched)
            if claimed:
                pace.began("first")
                yield _job(one, pace.endpoint, "first", claimed)

    def _queues(self, one: OwnedQueue, now_ms: int) -> Iterator[tuple[str, Pace, Queue]]:
        """Yield what may be attempted, and what runs: its attempts take slots."""
        due = set(one.queue.due_endpoints(now_ms))
        for name in due | one.paces.keys():
            pace = self._pace(one, name, now_ms)
            if pace is None:
                continue
            first, late = 0, 0
            if name in due and pace.limit(now_ms=now_ms) > 0:
                first, late = one.queue.due_counts(name, now_ms=now_ms, limit=_COUNT_LIMIT)
            if first or late or pace.first_running or pace.late_running:
                yield name, pace, pace.queue(first_due=first, late_due=late, now_ms=now_ms)

    def _pace(self, one: OwnedQueue, name: str, now_ms: int) -> Pace | None:
        """Return how fast an endpoint is served; None for one that this worker does not know (yet)."""
        endpoint, pace = self._directory.get(name), one.paces.get(name)
        if endpoint is None:
            return pace if pace is not None and (pace.first_running or pace.late_running) else None
        if pace is None:
            health = one.changelog.health(name)
            pace = one.paces[name] = Pace(endpoint, now_ms=now_ms, health=health)
            one.kept_health[name] = health
        pace.take(endpoint)
        return pace

    def abandon(self, jobs: Sequence[Job]) -> None:
        """Let the deliveries of attempts of which nothing is known wait as before."""
        for job in jobs:
            one = self.owned.get(job.number)
            if one is not None:
                one.queue.release(job.claimed)
                one.paces[job.endpoint.endpoint_id].abandoned(job.lane)
                if job.claimed[0].type == TEST_TYPE:
                    one.tests[job.claimed[0].webhook_id] = job.endpoint.endpoint_id

    # -- upkeep ------------------------------------------------------------------------------------------------

    def settle_endpoints(self, *, now_ms: int) -> int:
        """Give up what waits for disabled endpoints, forget what waits for removed ones; return of how many."""
        count = 0
        for one in self.owned.values():
            for name, counts in one.queue.counts().items():
                if name in self._removed:
                    count += one.upkeep.purge(name, limit=_UPKEEP_ROWS)
                    continue
                endpoint = self._directory.get(name)
                if endpoint is not None and endpoint.state == "disabled" and counts.waiting_count:
                    count += one.upkeep.give_up(name, cause="disabled", now_ms=now_ms, limit=_UPKEEP_ROWS)
        return count

    def forget(self, *, now_ms: int) -> None:
        """Forget what is old enough."""
        for one in self.owned.values():
            one.upkeep.forget(now_ms=now_ms)

    def take_given_up(self) -> list[GivenUp]:
        """Return what was given up without an attempt since the last call."""
        return [given for one in self.owned.values() for given in one.upkeep.take_given_up()]

    def health_changes(self) -> list[tuple[int, str, bytes | None]]:
        """Keep the health of endpoints that changed; return (partition, key, value) for the changelog."""
        changes = []
        for one in self.owned.values():
            for name, pace in one.paces.items():
                if pace.health != one.kept_health.get(name):
                    key, value = one.changelog.keep_health(name, pace.health)
                    one.kept_health[name] = pace.health
                    changes.append((one.number, key, value))
        return changes

    def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return endpoint -> what waits and what was given up."""
        found: dict[str, tuple[int, int]] = {}
        for one in self.owned.values():
            for name, counts in one.queue.counts().items():
                waiting, dead = found.get(name, (0, 0))
                found[name] = (waiting + counts.waiting_count, dead + counts.dead_count)
        return found


def _jobs(one: OwnedQueue, endpoint: Endpoint, lane: Lane, count: int, now_ms: int) -> Iterator[Job]:
    name = endpoint.endpoint_id
    if not endpoint.is_batched:
        for claimed in one.queue.claim(name, lane, now_ms=now_ms, limit=count):
            yield _job(one, endpoint, lane, [claimed])
        return
    for _ in range(count):
        members = one.queue.claim_batch(name, lane, now_ms=now_ms)
        if not members:
            return
        yield _job(one, endpoint, lane, members)


def _job(one: OwnedQueue, endpoint: Endpoint, lane: Lane, claimed: Sequence[Claimed]) -> Job:
    """Return the attempt at deliveries that were claimed: one, or the members of a batch."""
    first = claimed[0]
    members = [(member.webhook_id, member.body) for member in claimed]
    return Job(
        number=one.number,
        endpoint=endpoint,
        lane=lane,
        message_id=first.batch or first.webhook_id,
        body=batch_body(members) if endpoint.is_batched else first.body,
        claimed=tuple(claimed),
    )


def _result(claimed: Claimed, judged: Judged) -> Result:
    judgement = judged.judgement
    outcome = judgement.outcome
    if claimed.type == TEST_TYPE:
        outcome = "done"  # whatever came of it: nobody wants it again
    return Result(
        claimed=claimed,
        outcome=outcome,
        at_ms=judged.ended.at_ms,
        due_ms=judgement.due_ms,
        cause=judgement.error if outcome == "dead" else "",
    )
