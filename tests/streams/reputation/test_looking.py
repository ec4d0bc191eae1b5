"""A worker looks at those with news, at everybody in between, and at the larger ones with each of their providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.errors import UnavailableError
from postloop.adapters.health_server import HealthState
from postloop.adapters.metrics import ReputationMetrics
from postloop.adapters.partition_store import Item, PartitionStore
from postloop.adapters.reputation_store import CurrentRow, LogRow, Subject
from postloop.contracts.reputation import ReputationChangeV1, pool_key, state_key
from postloop.domain.reputation import DEFAULT_REPUTATION_POLICY, Evidence, WindowCounts, evidence_of
from postloop_streams.reputation.deciding import owner_of
from postloop_streams.reputation.looking import Found, Watcher, next_look_after_s
from postloop_streams.reputation.watching import AlertWatch
from tests.streams.reputation.world import Counts
from tests.streams.reputation.world import Outlet as AlertOutlet

WAIT_S = 20.0


def mail(delivered: int, complaints: int = 0) -> Evidence:
    return evidence_of(
        WindowCounts(
            delivered_count=delivered, reporting_delivered_count=delivered, complaint_count=complaints
        )
    )


class Evidences:
    """What ClickHouse would add up; who is in `news` is found by the looks that follow."""

    def __init__(self) -> None:
        self.all: dict[Subject, Evidence | None] = {}
        self.news_of: dict[Subject, Evidence | None] = {}
        self.with_provider: dict[Subject, Evidence | None] = {}
        self.over_pool: dict[Subject, Evidence | None] = {}
        self.asked: list[Subject] = []
        self.failures = 0

    def all_evidence(self, as_of: datetime) -> Iterator[Found]:
        yield list(self.all.items())

    def news(self, as_of: datetime, *, since: datetime) -> Iterator[Found]:
        if self.failures:
            self.failures -= 1
            raise UnavailableError("away")
        yield list(self.news_of.items())

    def by_provider(self, subjects: Sequence[Subject], *, as_of: datetime) -> Found:
        self.asked += subjects
        pairs = {(subject.account_id, subject.sender_domain) for subject in subjects}
        return [
            (one, evidence)
            for one, evidence in self.with_provider.items()
            if (one.account_id, one.sender_domain) in pairs
        ]

    def over_pools(self, subjects: Sequence[Subject], *, as_of: datetime) -> Found:
        pairs = {subject.domain for subject in subjects}
        return [(one, evidence) for one, evidence in self.over_pool.items() if one.domain in pairs]


class Outlet(AlertOutlet):
    """Takes what a worker says of senders as well, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[ReputationChangeV1] = []
        self.current: dict[Subject, CurrentRow] = {}
        self.logged: list[LogRow] = []
        self.stored = asyncio.Condition()

    async def tell(self, changes: Sequence[ReputationChangeV1]) -> None:
        self.changes += changes

    async def store(self, changes: Sequence[LogRow], rows: Sequence[CurrentRow]) -> None:
        for row in rows:
            subject = Subject(
                row.account_id, row.sender_domain, row.mailbox_provider, row.ip_pool, row.ip_pool_kind
            )
            self.current[subject] = row
        self.logged += changes

    async def keep(self, partition: int, items: Sequence[Item]) -> None:
        await super().keep(partition, items)
        async with self.stored:
            self.stored.notify_all()

    async def until(self, condition: Any) -> None:
        """Return once a condition holds."""
        async with asyncio.timeout(WAIT_S), self.stored:
            await self.stored.wait_for(condition)


@asynccontextmanager
async def working(
    directory: Path,
    evidences: Evidences,
    *,
    numbers: Iterable[int] = (0,),
    partitions: int = 1,
    interval_s: float = 0.01,
) -> AsyncIterator[Outlet]:
    """Run a worker that owns some partitions."""
    outlet, metrics = Outlet(), ReputationMetrics()
    alerts = AlertWatch(Counts(), publisher=outlet, metrics=metrics)  # type: ignore[arg-type]

    async def open_stores(wanted: Iterable[int]) -> tuple[dict[int, PartitionStore], int]:
        return {number: PartitionStore(directory / f"{number}.sqlite") for number in wanted}, 0

    failed: list[str] = []
    watcher = Watcher(
        evidences,
        open_stores=open_stores,
        publisher=outlet,  # type: ignore[arg-type]
        alerts=alerts,
        policy=DEFAULT_REPUTATION_POLICY,
        interval_s=interval_s,
        metrics=metrics,
        health=HealthState(["partitions", "clickhouse"], stuck_after_s=60),
        fail=failed.append,
    )
    watcher.partitions = alerts.partitions = partitions
    await watcher.assign(list(numbers))
    try:
        yield outlet
    finally:
        await watcher.revoke()
    assert failed == []


SENDER, OTHER = Subject("acme", "a.example"), Subject("zeta", "b.example")


async def test_who_has_news_is_judged_and_told(tmp_path: Path) -> None:
    evidences = Evidences()
    evidences.news_of[SENDER] = mail(10_000, complaints=50)
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: SENDER in outlet.current)
    assert [(change.sender_domain, change.after.grade) for change in outlet.changes] == [("a.example", "bad")]


async def test_everybody_is_looked_at_without_news(tmp_path: Path) -> None:
    evidences = Evidences()
    evidences.all = {SENDER: mail(10_000), OTHER: mail(10_000, complaints=50)}
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: len(outlet.current) == 2)
    assert [change.sender_domain for change in outlet.changes] == ["b.example"]


async def test_looks_at_the_news_that_never_end_leave_time_for_everybody_else(tmp_path: Path) -> None:
    evidences = Evidences()
    evidences.news_of[SENDER] = evidences.all[SENDER] = mail(10_000)
    evidences.all[OTHER] = mail(10_000)
    async with working(tmp_path, evidences, interval_s=0.0) as outlet:
        await outlet.until(lambda: OTHER in outlet.current)


@pytest.mark.parametrize(
    ("took_s", "after_s"), [(0.1, 10.0), (5.0, 10.0), (7.0, 14.0), (10.0, 20.0), (60.0, 70.0)]
)
def test_looks_keep_their_interval_and_long_ones_are_followed_by_a_pause(
    took_s: float, after_s: float
) -> None:
    assert next_look_after_s(took_s, interval_s=10.0) == after_s


async def test_a_worker_judges_what_it_owns(tmp_path: Path) -> None:
    evidences = Evidences()
    domains = [f"d{number}.example" for number in range(20)]
    evidences.all = {Subject("acme", domain): mail(10_000, complaints=50) for domain in domains}
    mine = {domain for domain in domains if owner_of(domain, 4) == 1}
    async with working(tmp_path, evidences, numbers=[1], partitions=4) as outlet:
        await outlet.until(lambda: len(outlet.current) == len(mine))
    assert {change.sender_domain for change in outlet.changes} == mine


async def test_only_larger_senders_are_judged_with_each_provider(tmp_path: Path) -> None:
    evidences = Evidences()
    evidences.all = {SENDER: mail(10_000, complaints=5), OTHER: mail(999)}
    yahoo, gmail, tiny = (Subject("acme", "a.example", name) for name in ("yahoo", "gmail", "apple"))
    evidences.with_provider = {
        yahoo: mail(1_000, complaints=20),
        gmail: mail(9_000),
        tiny: mail(99),
        Subject("zeta", "b.example", "yahoo"): mail(999, complaints=20),
    }
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: len(outlet.current) == 4)
    assert set(outlet.current) == {SENDER, OTHER, yahoo, gmail}
    assert set(evidences.asked) == {SENDER}
    assert [(change.mailbox_provider, change.after.grade) for change in outlet.changes] == [("yahoo", "bad")]


async def test_a_sender_that_is_always_in_the_news_is_judged_with_its_providers_now_and_then(
    tmp_path: Path,
) -> None:
    evidences = Evidences()
    evidences.news_of[SENDER] = mail(10_000)
    evidences.all[OTHER] = mail(10_000)
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: OTHER in outlet.current)
        evidences.news_of[Subject("acme", "later.example")] = mail(10_000)
        await outlet.until(lambda: len(outlet.current) == 3)
    assert evidences.asked.count(SENDER) == 1


async def test_the_last_news_of_a_sender_are_judged_with_its_providers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postloop_streams.reputation.looking.PARTS_EVERY_S", 0.5)
    evidences, at_yahoo = Evidences(), Subject("acme", "a.example", "yahoo")
    evidences.news_of[SENDER] = evidences.all[SENDER] = mail(10_000)
    evidences.with_provider[at_yahoo] = mail(2_000)
    async with working(tmp_path, evidences) as outlet:
        while evidences.asked.count(SENDER) < 2:  # with the news, and with everybody
            await asyncio.sleep(0.01)
        evidences.news_of[OTHER] = mail(10_000)
        await outlet.until(lambda: OTHER in outlet.current)
        evidences.with_provider[at_yahoo] = mail(2_000, complaints=40)
        evidences.news_of.clear()
        await outlet.until(lambda: outlet.changes)
        asked = evidences.asked.count(SENDER)
        evidences.news_of[OTHER] = mail(10_000, complaints=50)
        await outlet.until(lambda: len(outlet.changes) == 2)
    assert outlet.changes[0].mailbox_provider == "yahoo"
    assert evidences.asked.count(SENDER) == asked


async def test_larger_senders_are_judged_over_each_pool_which_is_stored_and_not_told(tmp_path: Path) -> None:
    evidences = Evidences()
    evidences.all = {SENDER: mail(10_000, complaints=5), OTHER: mail(999)}
    good, bad, tiny = (Subject("acme", "a.example", "", name, "shared") for name in ("eu-1", "eu-2", "eu-3"))
    evidences.over_pool = {
        good: mail(9_000),
        bad: mail(1_000, complaints=20),
        tiny: mail(99),
        Subject("zeta", "b.example", "", "eu-1", "shared"): mail(999, complaints=20),
    }
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: len(outlet.current) == 4)
    assert set(outlet.current) == {SENDER, OTHER, good, bad}
    assert outlet.changes == []
    assert [(row.ip_pool, row.ip_pool_kind, row.after_grade) for row in outlet.logged] == [
        ("eu-2", "shared", "bad")
    ]
    evidences.over_pool.clear()
    async with working(tmp_path, evidences) as later:
        await later.until(lambda: {good, bad} <= set(later.current))
    assert [later.current[one].grade for one in (good, bad)] == ["unknown", "unknown"]
    assert {key for key, value in later.kept.items() if value is None} == {
        pool_key("acme", "a.example", name, "shared") for name in ("eu-1", "eu-2")
    }


async def test_who_sends_nothing_any_more_becomes_unknown(tmp_path: Path) -> None:
    evidences = Evidences()
    at_yahoo = Subject("acme", "a.example", "yahoo")
    evidences.all[SENDER] = mail(10_000)
    evidences.with_provider[at_yahoo] = mail(9_000, complaints=50)
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: len(outlet.current) == 2)
    evidences.all.clear()
    async with working(tmp_path, evidences) as later:
        await later.until(lambda: len(later.current) == 2)
    assert [outlet.current[one].grade for one in (SENDER, at_yahoo)] == ["high", "bad"]
    assert [later.current[one].grade for one in (SENDER, at_yahoo)] == ["unknown", "unknown"]
    assert [change.after.grade for change in later.changes] == ["unknown", "unknown"]
    kept = {key for key, value in later.kept.items() if value is not None}
    assert kept == {state_key("acme", "a.example")}


async def test_who_begins_while_everybody_is_looked_at_is_not_taken_for_silent(tmp_path: Path) -> None:
    """Its page was read before it came: at the end it was told as unknown, with `resume`, and as bad again."""

    class Beginning(Evidences):
        def all_evidence(self, as_of: datetime) -> Iterator[Found]:
            yield from super().all_evidence(as_of)
            self.news_of[SENDER] = mail(10_000, complaints=50)
            yield []
            yield []

    evidences = Beginning()
    evidences.with_provider[Subject("acme", "a.example", "yahoo")] = mail(10_000, complaints=50)
    evidences.all[OTHER] = mail(10_000)
    last = Subject("last", "c.example")
    async with working(tmp_path, evidences, interval_s=0.0) as outlet:
        await outlet.until(lambda: SENDER in outlet.current)
        await asyncio.sleep(0.2)  # some looks, and the end of the one at everybody
        evidences.news_of[last] = mail(10_000)
        await outlet.until(lambda: last in outlet.current)
    assert [(change.mailbox_provider, change.after.grade) for change in outlet.changes] == [(None, "bad")]


async def judged_with_a_bad_part(tmp_path: Path) -> tuple[Evidences, Subject]:
    """Return what a sender was judged by, whose mail to one provider is bad, and that part."""
    evidences, at_yahoo = Evidences(), Subject("acme", "a.example", "yahoo")
    evidences.all[SENDER] = mail(10_000)
    evidences.with_provider[at_yahoo] = mail(9_000, complaints=50)
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: len(outlet.current) == 2)
    return evidences, at_yahoo


async def test_whose_rollups_are_being_repaired_is_not_taken_for_silent(tmp_path: Path) -> None:
    evidences, _ = await judged_with_a_bad_part(tmp_path)
    evidences.all = {SENDER: None, OTHER: mail(10_000)}
    async with working(tmp_path, evidences) as later:
        await later.until(lambda: OTHER in later.current)
        await asyncio.sleep(0.2)  # to the end of the look at everybody
    assert later.changes == []


async def test_whose_part_is_being_repaired_is_not_taken_for_silent(tmp_path: Path) -> None:
    evidences, at_yahoo = await judged_with_a_bad_part(tmp_path)
    evidences.with_provider[at_yahoo] = None
    evidences.all[OTHER] = mail(10_000)
    async with working(tmp_path, evidences) as later:
        await later.until(lambda: OTHER in later.current)
        await asyncio.sleep(0.2)
    assert later.changes == []


async def test_an_outage_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postloop_streams.reputation.looking._PAUSE_S", 0.01)
    evidences = Evidences()
    evidences.failures = 3
    evidences.news_of[SENDER] = mail(10_000, complaints=50)
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: SENDER in outlet.current)
    assert len(outlet.changes) == 1


async def test_the_next_owner_tells_nothing_again(tmp_path: Path) -> None:
    evidences = Evidences()
    evidences.news_of[SENDER] = mail(10_000, complaints=50)
    async with working(tmp_path, evidences) as outlet:
        await outlet.until(lambda: SENDER in outlet.current)
    evidences.news_of[OTHER] = mail(10_000, complaints=50)
    async with working(tmp_path, evidences) as later:
        await later.until(lambda: OTHER in later.current)
    assert [change.sender_domain for change in outlet.changes + later.changes] == ["a.example", "b.example"]
