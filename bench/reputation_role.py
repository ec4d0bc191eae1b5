"""Looks at every sender domain and at those with news: ClickHouse adds up, Python decides. Without a broker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from bench.meter import Sampler, peak_mb
from bench.stack import Store, clickhouse
from postloop.adapters.clickhouse import translated
from postloop.adapters.partition_store import PartitionStore
from postloop.adapters.reputation_store import ReputationReader
from postloop.domain.reputation import DEFAULT_REPUTATION_POLICY
from postloop.settings import Settings
from postloop_streams.reputation.deciding import decide
from postloop_streams.worker import tune_garbage_collector

DAYS: Final = 25
_DOMAINS_AT_ONCE: Final = 10_000
# The mail of a day in one hour, to two providers of which one reports complaints; every fiftieth domain is bad.
_ROLLED: Final = """INSERT INTO {table} (cube, bucket, account_id, sender_domain, mailbox_provider, event_count,
    delivered_count, reporting_delivered_count, hard_bounce_count, complaint_count)
SELECT 'domain', {bucket}, concat('a', toString(intDiv(d, 3))), concat('d', toString(d), '.example'),
    if(p = 0, 'yahoo', 'gmail'), {mails}, {mails} - hard, if(p = 0, {mails} - hard, 0), hard,
    if(p = 0 AND d % 50 = 0, 1, 0)
FROM (
    SELECT {first} + intDiv(number, {rows}) AS d, intDiv(number % {rows}, 2) AS day, number % 2 AS p,
        toInt64((d + day) % 29 = 0) AS hard
    FROM numbers({count})
)"""


_NEWS: Final = """INSERT INTO events (event_type, outcome, event_id, occurred_at, stored_at, record_at, account_id,
    sender_domain, mailbox_provider, recipient, message_id)
SELECT 'delivery', 'delivered', toString(number), now64(3, 'UTC') - 60, now64(3, 'UTC'), now64(3, 'UTC'),
    concat('a', toString(intDiv(d, 3))), concat('d', toString(d), '.example'), 'gmail', 'r@example.org',
    toString(number)
FROM (SELECT number, number * {step} AS d FROM numbers({count}))"""


class Look(NamedTuple):
    """What one look cost.

    Attributes:
        kind: `everybody`, or `news`: the senders of whom events were stored lately.
        total_s: From the first question to the last decision.
        asked_s: Of it, waiting for ClickHouse and reading its answers.
        decided_s: Of it, deciding.
        cpu_s: Processor time of both processes.
        role_mb, clickhouse_mb: Highest resident memory of each process during the look.
    """

    kind: str
    senders: int
    changes: int
    total_s: float
    asked_s: float
    decided_s: float
    cpu_s: float
    role_mb: float
    clickhouse_mb: float


def measure(
    directory: Path,
    *,
    domain_count: int,
    event_count: int,
    looks: int,
    news_share: float,
    on_done: Callable[[Look], None],
) -> None:
    """Fill the rollups, then look at everybody so many times (the first meets no state), then as often at the news."""
    tune_garbage_collector()
    with clickhouse(directory) as store:
        fill(store, domain_count=domain_count, event_count=event_count)
        with PartitionStore(directory / "state.sqlite") as state:
            for _ in range(looks):
                on_done(look(store, state, "everybody"))
            for _ in range(looks):
                since = tell_news(store, domain_count=domain_count, share=news_share)
                on_done(look(store, state, "news", since=since))


def fill(store: Store, *, domain_count: int, event_count: int) -> None:
    """Store rollups of so many events: equally many a domain and day."""
    mails = max(1, event_count // (domain_count * DAYS * 2))
    now = "toStartOfHour(now('UTC'))"
    for first in range(0, domain_count, _DOMAINS_AT_ONCE):
        count = min(_DOMAINS_AT_ONCE, domain_count - first)
        for table, bucket, days in (
            ("rollup_hour", f"{now} - toIntervalDay(day)", DAYS),
            ("rollup_minute", f"{now} - toIntervalMinute(5)", 1),
        ):
            rows = 2 * days
            query = _ROLLED.format(
                table=table, bucket=bucket, mails=mails, first=first, rows=rows, count=count * rows
            )
            with translated("filling ClickHouse"):
                store.client.command(query)


def tell_news(store: Store, *, domain_count: int, share: float) -> datetime:
    """Store one event for a share of the senders, spread over all of them; return a moment before that."""
    count, since = max(1, round(domain_count * share)), datetime.now(UTC)
    with translated("telling ClickHouse news"):
        store.client.command(_NEWS.format(count=count, step=max(1, domain_count // count)))
    return since


def look(store: Store, state: PartitionStore, kind: str, *, since: datetime | None = None) -> Look:
    """Judge everybody once, or those with news, as the role does with all partitions."""
    settings = Settings(_env_file=None, clickhouse_url=f"http://127.0.0.1:{store.port}")
    reader = ReputationReader(store.client, settings)
    as_of = datetime.now(UTC) + timedelta(minutes=1)
    with Sampler(os.getpid()) as role, Sampler(store.process.pid) as server:
        began_s, decided_s, senders, changes = time.perf_counter(), 0.0, 0, 0
        for page in reader.all_evidence(as_of) if since is None else reader.news(as_of, since=since):
            asked_s = time.perf_counter()
            now_ms = time.time_ns() // 1_000_000
            found = [(subject, evidence) for subject, evidence in page if evidence is not None]
            decisions = decide(state, found, policy=DEFAULT_REPUTATION_POLICY, now_ms=now_ms)
            state.apply(decisions.items)
            decided_s += time.perf_counter() - asked_s
            senders, changes = senders + len(page), changes + len(decisions.changes)
        total_s = time.perf_counter() - began_s
    return Look(
        kind=kind,
        senders=senders,
        changes=changes,
        total_s=total_s,
        asked_s=total_s - decided_s,
        decided_s=decided_s,
        cpu_s=sum(of.samples[-1].cpu_s - of.samples[0].cpu_s for of in (role, server) if of.samples),
        role_mb=peak_mb(role.samples),
        clickhouse_mb=peak_mb(server.samples),
    )
