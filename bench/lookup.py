"""How long look-ups take with many raw events stored: a message, a recipient, a domain, the status page."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from bench.stack import Store, clickhouse
from postloop.adapters.clickhouse import connect, translated
from postloop.adapters.domain_health import RUNNING, read_parts
from postloop.adapters.domain_reader import DomainReader
from postloop.adapters.message_lookup import Asker, MessageLookup
from postloop.adapters.migration_render import rollup_select
from postloop.adapters.migrations import parts
from postloop.adapters.reputation_store import ReputationReader, Subject
from postloop.adapters.status_reader import StatusReader
from postloop.settings import Settings

DAYS: Final = 30
DOMAINS: Final = 2_000
_CHUNK: Final = 240_000
_PER_MESSAGE: Final = 3
_FILL_S: Final = 600
_ROLLUPS: Final = {"rollup_minute": "toStartOfMinute", "rollup_hour": "toStartOfHour"}
_FEEDS: Final = ("rollup_minute_feed", "rollup_hour_feed")
# A few large senders and many small ones; three events a message, one delivery in twenty is a bounce instead.
_ROWS: Final = """INSERT INTO events (topic, topic_id, `partition`, `offset`, `index`, run_id, record_at, stored_at,
    event_type, event_id, occurred_at, account_id, message_id, sender_domain, recipient, recipient_domain,
    recipient_valid, mailbox_provider, schema_version, mail_class, ip_pool, ip_pool_kind, sent_at, outcome, status,
    smtp_response, action, smtp_code, enhanced_code, diagnostic, user_agent, open_kind, open_reason, reason, hard,
    fault)
SELECT concat('email.', event_type), 't', m % 4, number, 0, 'r', at, at + 1, event_type,
    lower(hex(cityHash64('e', number))), at, concat('a', toString(intDiv(d, 4))),
    concat(lower(hex(cityHash64('m', m))), '@d', toString(d), '.example'), concat('d', toString(d), '.example'),
    concat('user', toString(cityHash64('r', m) % {people:UInt64}), '@gmail.com'), 'gmail.com', true,
    ['gmail', 'microsoft', 'yahoo'][1 + m % 3], 1, ['marketing', 'transactional'][1 + d % 2],
    concat('pool-', toString(d % 20)), 'shared', sent, outcome, if(kind = 0, 'accepted', ''),
    if(outcome = 'delivered', '250 2.0.0 OK', ''), if(event_type = 'bounce', 'failed', ''),
    if(event_type = 'bounce', 550, 0), if(event_type = 'bounce', '5.1.1', ''),
    if(event_type = 'bounce', '550 5.1.1 no such user', ''), if(kind = 2, 'Mozilla/5.0 (Windows)', ''),
    if(kind = 2, 'human', ''), if(kind = 2, 'client', ''), if(event_type = 'bounce', 'user_unknown', ''),
    event_type = 'bounce', if(event_type = 'bounce', 'recipient', '')
FROM (
    SELECT number, intDiv(number, 3) AS m, number % 3 AS kind,
        toUInt32(pow(cityHash64('d', m) % 1000003 / 1000003, 3) * {domains:UInt32}) AS d,
        {begin:DateTime64(3, 'UTC')} + toIntervalMillisecond(toInt64(m * {step_ms:Float64})) AS sent,
        sent + [0, 2, 3600][1 + kind] AS at, kind = 1 AND m % 20 = 0 AS is_bounce,
        if(is_bounce, 'bounce', ['send', 'delivery', 'open'][1 + kind]) AS event_type,
        if(is_bounce, 'hard_bounce', ['accepted', 'delivered', 'open'][1 + kind]) AS outcome
    FROM numbers({first:UInt64}, {count:UInt64})
)"""


class Timed(NamedTuple):
    """Times of one kind of look-up; milliseconds."""

    what: str
    count: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


def measure(directory: Path, *, event_count: int, rounds: int, on_done: Callable[[Timed], None]) -> None:
    """Store so many events of the last 30 days, then look up at random; report each kind when it is measured."""
    with clickhouse(directory) as store:
        settings = Settings(_env_file=None, clickhouse_url=f"http://127.0.0.1:{store.port}")
        fill(settings, event_count=event_count)
        for what, look in looks(store, settings, event_count=event_count):
            look(0)
            times_ms = sorted(_milliseconds(look, n) for n in range(1, rounds + 1))
            p50_ms, p99_ms = times_ms[rounds // 2], times_ms[math.ceil(rounds * 0.99) - 1]
            on_done(Timed(what, rounds, p50_ms, p99_ms, times_ms[-1]))


def fill(settings: Settings, *, event_count: int) -> None:
    """Store events in the order of their sending, then their rollups, as the feeds would have made them.

    The feeds count row by row what is counted here day by day: it would take an hour.
    """
    client = connect(settings, timeout_s=_FILL_S)
    begin, step_ms = datetime.now(UTC) - timedelta(days=DAYS), DAYS * 86_400_000 * _PER_MESSAGE / event_count
    with translated("filling ClickHouse"):
        feeds = [client.query(f"SHOW CREATE VIEW {feed}").result_rows[0][0] for feed in _FEEDS]
        for feed in _FEEDS:
            client.command(f"DROP VIEW {feed}")
        for first in range(0, event_count, _CHUNK):
            said = {
                "first": first,
                "count": min(_CHUNK, event_count - first),
                "begin": begin,
                "step_ms": step_ms,
                "people": max(1, event_count // 5),
                "domains": DOMAINS,
            }
            client.command(_ROWS, parameters=said)
        for day in range(DAYS + 1):
            source = f"(SELECT * FROM events WHERE toDate(record_at) = toDate('{begin:%Y-%m-%d}') + {day})"
            for table, bucket in _ROLLUPS.items():
                select = rollup_select(bucket, source=source, parts=parts())
                names = ", ".join(client.query(f"{select} LIMIT 0").column_names)
                client.command(f"INSERT INTO {table} ({names}) {select}")
        for statement in feeds:
            client.command(statement)
        # As a day later: the tables merge what is older than that.
        for table in _ROLLUPS:
            client.command(f"OPTIMIZE TABLE {table} FINAL")


def looks(
    store: Store, settings: Settings, *, event_count: int
) -> Iterator[tuple[str, Callable[[int], object]]]:
    """Yield each kind of look-up with a function that does it for a random thing, chosen by a number."""
    client, threads = connect(settings), ThreadPoolExecutor(6)
    lookup, domains = MessageLookup(client, settings), DomainReader(client, settings)
    reputation, status = ReputationReader(client, settings), StatusReader(client, settings)
    rows = store.client.query(
        "SELECT message_id, recipient, account_id, sender_domain FROM events WHERE cityHash64(event_id) % "
        f"{max(1, event_count // 1000)} = 0 LIMIT 1000"
    ).result_rows
    some = random.Random(1).sample(list(rows), len(rows))

    def one(number: int) -> tuple[str, str, str, str]:
        return some[number % len(some)]

    def asker(account_id: str | None = None) -> Asker:
        return Asker(now=datetime.now(UTC), account_id=account_id)

    def domain_page(number: int) -> None:
        pair, now = one(number)[2:], datetime.now(UTC)
        questions: list[Callable[[], object]] = [
            lambda: reputation.evidence_of(*pair, as_of=now + RUNNING),
            lambda: reputation.current(pair[1], account_id=pair[0]),
            lambda: domains.latencies(*pair),
            lambda: domains.past(*pair, now=now),
        ]
        for answer in [threads.submit(question) for question in questions]:
            answer.result()

    yield "message by id, operator", lambda n: lookup.show(one(n)[0], asker())
    yield "message by id, account", lambda n: lookup.show(one(n)[0], asker(one(n)[2]))
    yield "no such message", lambda n: lookup.show(f"nothing-{n}", asker())
    yield "messages to a recipient, operator", lambda n: lookup.sent_to(one(n)[1], asker())
    yield "messages to a recipient, account", lambda n: lookup.sent_to(one(n)[1], asker(one(n)[2]))
    yield "domain page", domain_page
    yield "domain: evidence", lambda n: reputation.evidence_of(*one(n)[2:], as_of=datetime.now(UTC) + RUNNING)
    yield "domain: pools", lambda n: domains.pools(*one(n)[2:])
    yield "domain: delivery times", lambda n: domains.latencies(*one(n)[2:])
    yield "domain: opens and series", lambda n: domains.past(*one(n)[2:], now=datetime.now(UTC))
    yield (
        "domain: parts and level",
        lambda n: read_parts(reputation, Subject(*one(n)[2:]), now=datetime.now(UTC)),
    )
    yield "open rates of 20 domains", lambda n: domains.open_rates([one(n + k)[2:] for k in range(20)])
    yield "status: events a second", lambda _: status.flow(now=datetime.now(UTC))
    yield "status: topics", lambda _: status.heard()
    yield "status: blocklist changes", lambda _: status.changes(now=datetime.now(UTC), limit=10)


def _milliseconds(look: Callable[[int], object], number: int) -> float:
    began_s = time.perf_counter()
    look(number)
    return (time.perf_counter() - began_s) * 1000
