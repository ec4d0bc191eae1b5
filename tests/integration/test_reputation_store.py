"""The evidence that ClickHouse adds up is the evidence that the events make in plain Python; on the real engine."""

import json
import os
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.reputation_store import CurrentRow, LogRow, ReputationReader, Subject
from postloop.adapters.reputation_writer import ReputationWriter
from postloop.contracts.fields import milliseconds
from postloop.domain.providers import REPORTS_COMPLAINTS
from postloop.domain.reputation import (
    DAY_MS,
    HOUR_MS,
    Bucket,
    Evidence,
    WindowCounts,
    evidence_at,
    refusal_kind,
)
from tests.support.command_line import run_postloop
from tests.support.database import Database, Row, event, migrated_database

NOW = datetime.now(UTC).replace(second=41, microsecond=0)
AS_OF = NOW.replace(second=0) + timedelta(minutes=1)
RECENT = 60
MINUTE_MS = 60_000
FATES = ["accepted", "rejected", "suppressed", "delivered", "delivered", "delivered", "deferral"]
FATES += ["hard_bounce", "soft_bounce", "complaint", "not_spam", "unsubscribe", "human"]
REASONS = {
    "hard_bounce": ["user_unknown", "sender_blocked", "auth_failure"],
    "soft_bounce": ["mailbox_full", "spam_content", "rate_limited", "too_large", "auth_failure"],
    "deferral": ["rate_limited"],
}
PLAIN = {
    "rejected": "rejected_count",
    "suppressed": "suppressed_count",
    "accepted": "send_count",
    "unsubscribe": "unsubscribe_count",
    "hard_bounce": "hard_bounce_count",
    "soft_bounce": "soft_bounce_count",
}


def mail(count: int, *, seed: int) -> list[Row]:
    """Return events of some senders, most of them lately, some older than every window or ahead of the clock."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        back_s = chance.choice([3_600, 86_400, 8 * 86_400, 31 * 86_400]) * chance.random()
        fate = chance.choice(FATES)
        reason = chance.choice(REASONS.get(fate, [""]))
        provider = chance.choice(["gmail", "yahoo", "comcast"])
        rows.append(
            event(
                fate,
                AS_OF - timedelta(seconds=back_s - 20),
                account_id=chance.choice(["acme", "zeta"]),
                sender_domain=chance.choice(["a.example", "b.example"]),
                mailbox_provider=provider,
                reports_complaints=provider in REPORTS_COMPLAINTS,
                reason=reason,
                fault="sender" if reason and refusal_kind(reason) else "",
                hard=fate == "hard_bounce",
                campaign_id=chance.choice(["", "c"]),
                ip_pool=chance.choice(["", "eu-1", "eu-2"]),
                ip_pool_kind=chance.choice(["shared", "dedicated"]),
                stored_at=NOW - timedelta(hours=number % 2),
            )
        )
    return rows


def counted(row: Row) -> WindowCounts:
    """Return what one event counts."""
    outcome, reports = row["outcome"], row["reports_complaints"]
    counts: dict[str, int] = {}
    if outcome in PLAIN:
        counts[PLAIN[outcome]] = 1
    if outcome == "delivered":
        counts |= {"delivered_count": 1, "reporting_delivered_count": int(reports)}
    if outcome == "complaint":
        counts["complaint_count"] = int(reports)
    if outcome in ("hard_bounce", "soft_bounce") and (kind := refusal_kind(row["reason"])):
        counts[f"{kind}_refusal_count"] = 1
    return WindowCounts(**counts)


def counted_over_pool(row: Row) -> WindowCounts:
    """Return what one event counts over its pool, where refusals are not told apart."""
    counts = counted(row)
    return replace(
        counts,
        content_refusal_count=0,
        authentication_refusal_count=0,
        standing_refusal_count=counts.refusal_count,
    )


def plain(rows: list[Row], counted: Callable[[Row], WindowCounts] = counted) -> Evidence:
    """Return the evidence by the rules alone: short windows by minutes, long ones by hours."""

    def by(length_ms: int) -> Evidence:
        buckets = [
            Bucket(milliseconds(row["occurred_at"]) // length_ms * length_ms, counted(row)) for row in rows
        ]
        return evidence_at(buckets, now_ms=milliseconds(AS_OF), representative_count=RECENT)

    minutes, hours = by(MINUTE_MS), by(HOUR_MS)
    windows: Any = {name: minutes.counts(name) for name in ("1h", "24h")} | {  # type: ignore[arg-type]
        name: hours.counts(name)  # type: ignore[arg-type]
        for name in ("7d", "30d", "recent")
    }
    return Evidence(windows, peak_reporting_count=hours.peak_reporting_count)


def same(found: Evidence, wanted: Evidence) -> bool:
    return (
        dict(found.windows) == dict(wanted.windows)
        and found.peak_reporting_count == wanted.peak_reporting_count
    )


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return mail(4_000, seed=6)


@pytest.fixture(scope="module")
def db(rows: list[Row]) -> Database:
    database = migrated_database()
    database.insert(rows)
    return database


@pytest.fixture(params=[0, 2], ids=["many", "few"])
def reader(db: Database, request: pytest.FixtureRequest) -> ReputationReader:
    """Read what the database adds up of many pairs, and what is added up here of few."""
    return ReputationReader(
        db.client, db.settings, representative_count=RECENT, page_subjects=2, few_pairs=request.param
    )


def test_the_evidence_of_everybody_is_what_the_events_say(reader: ReputationReader, rows: list[Row]) -> None:
    of: defaultdict[Subject, list[Row]] = defaultdict(list)
    for row in rows:
        of[Subject(row["account_id"], row["sender_domain"])].append(row)

    found = [one for page in reader.all_evidence(AS_OF) for one in page]

    assert sorted(subject for subject, _ in found) == sorted(of)
    for subject, evidence in found:
        assert same(evidence, plain(of[subject])), subject
        assert evidence.counts("recent") != evidence.counts("30d")


def test_the_evidence_of_one_is_that_of_everybody(reader: ReputationReader) -> None:
    found = [one for page in reader.all_evidence(AS_OF) for one in page]
    for subject, evidence in found:
        [(same_subject, alone)] = reader.evidence_of(subject.account_id, subject.sender_domain, as_of=AS_OF)
        assert same_subject == subject
        assert same(alone, evidence), subject
    domains = {subject.sender_domain for subject, _ in found}
    of_all_accounts = [one for domain in domains for one in reader.evidence_of(None, domain, as_of=AS_OF)]
    assert sorted(subject for subject, _ in of_all_accounts) == sorted(subject for subject, _ in found)


def test_the_evidence_by_provider_is_what_the_events_say(reader: ReputationReader, rows: list[Row]) -> None:
    found = reader.evidence_of("acme", "a.example", as_of=AS_OF, by_provider=True)

    assert [subject.mailbox_provider for subject, _ in found] == ["comcast", "gmail", "yahoo"]
    for subject, evidence in found:
        mine = [
            row
            for row in rows
            if (row["account_id"], row["sender_domain"], row["mailbox_provider"])
            == (subject.account_id, subject.sender_domain, subject.mailbox_provider)
        ]
        assert same(evidence, plain(mine)), subject


def test_the_evidence_over_pools_is_what_the_events_say(reader: ReputationReader, rows: list[Row]) -> None:
    pairs = [Subject("acme", "a.example"), Subject("zeta", "b.example")]
    found = reader.over_pools(pairs, as_of=AS_OF)

    assert [subject for subject, _ in found] == [
        Subject(pair.account_id, pair.sender_domain, "", name, kind)
        for pair in pairs
        for name in ("eu-1", "eu-2")
        for kind in ("dedicated", "shared")
    ]
    names = ("account_id", "sender_domain", "ip_pool", "ip_pool_kind")
    for subject, evidence in found:
        mine = [row for row in rows if all(row[name] == getattr(subject, name) for name in names)]
        assert same(evidence, plain(mine, counted_over_pool)), subject
    alone = reader.by_pool("acme", "a.example", as_of=AS_OF)
    assert [Subject("acme", "a.example", "", name, kind) for name, kind, _ in alone] == [
        subject for subject, _ in found[:4]
    ]
    for (_, _, by_itself), (_, evidence) in zip(alone, found, strict=False):
        assert same(by_itself, evidence)


def test_only_who_has_news_is_evaluated() -> None:
    db = migrated_database()
    reader = ReputationReader(db.client, db.settings)
    old, new = NOW - timedelta(minutes=10), NOW - timedelta(seconds=5)
    db.insert(
        [
            event("delivered", new, sender_domain="quiet.example", stored_at=old),
            event("delivered", old, sender_domain="busy.example", stored_at=new),
        ]
    )

    found = [s for page in reader.news(AS_OF, since=NOW - timedelta(seconds=30)) for s, _ in page]

    assert found == [Subject("acme", "busy.example")]


def test_what_is_written_twice_is_read_once(db: Database) -> None:
    reader, writer = ReputationReader(db.client, db.settings), ReputationWriter(db.client, db.settings)
    change = LogRow(
        event_id="e1",
        account_id="acme",
        sender_domain="a.example",
        mailbox_provider="",
        at=NOW,
        before_score=None,
        before_grade="",
        after_score=31.2,
        after_grade="bad",
        recommendation="pause",
        factors="[]",
    )
    row = current(at=NOW, grade="bad", score=31.2)
    for _ in range(2):
        writer.write([change], [current(at=NOW - timedelta(minutes=1), grade="low", score=45.0), row])

    assert reader.current() == [row]
    assert reader.restore(0, 1) == [(Subject("acme", "a.example"), "{}")]
    (seen,) = db.query("SELECT * FROM v_domain_reputation")
    assert (seen["grade"], seen["score"], seen["mailbox_provider"]) == ("bad", 31.2, None)
    (told,) = db.query("SELECT * FROM v_reputation_changes")
    assert (told["before_grade"], told["after_grade"], told["recommendation"]) == (None, "bad", "pause")


def test_what_is_said_over_a_pool_stands_apart_and_is_restored_until_nothing_is_left(db: Database) -> None:
    """Whoever reads what is said of domains finds nothing of pools there."""
    reader, writer = ReputationReader(db.client, db.settings), ReputationWriter(db.client, db.settings)
    over = {"sender_domain": "pools.example", "ip_pool_kind": "shared"}
    change = LogRow(
        event_id="p1", account_id="acme", sender_domain="pools.example", mailbox_provider="", at=NOW,
        before_score=84.0, before_grade="high", after_score=31.2, after_grade="bad", recommendation="pause",
        factors="[]", ip_pool="eu-1", ip_pool_kind="shared",
    )  # fmt: skip
    old = current(**over, ip_pool="eu-1", at=NOW - timedelta(minutes=1), grade="high", score=84.0)
    row = replace(old, at=NOW, grade="bad", score=31.2)
    gone = replace(row, ip_pool="eu-2", grade="unknown", score=None, outcome_count=0)
    for _ in range(2):
        writer.write([change], [old, row, gone])

    assert reader.current("pools.example") == []
    assert db.query("SELECT 1 FROM v_domain_reputation WHERE sender_domain = 'pools.example'") == []
    assert db.query("SELECT 1 FROM v_reputation_changes WHERE sender_domain = 'pools.example'") == []
    seen = db.query("SELECT * FROM v_pool_reputation ORDER BY ip_pool")
    names = ("account_id", "sender_domain", "ip_pool", "ip_pool_kind", "grade", "score", "outcome_count")
    assert [tuple(one[name] for name in names) for one in seen] == [
        ("acme", "pools.example", "eu-1", "shared", "bad", 31.2, 10_000),
        ("acme", "pools.example", "eu-2", "shared", "unknown", None, 0),
    ]
    (told,) = db.query("SELECT * FROM v_pool_reputation_changes")
    assert (told["ip_pool"], told["before_grade"], told["after_grade"]) == ("eu-1", "high", "bad")
    assert [one for one in reader.restore(0, 1) if one[0].sender_domain == "pools.example"] == [
        (Subject("acme", "pools.example", "", "eu-1", "shared"), "{}")
    ]


def current(**fields: Any) -> CurrentRow:
    rates = {
        f"{name}_{part}": 0.01
        for name in ("complaint", "hard_bounce", "refusal")
        for part in ("rate", "low", "high")
    }
    values: dict[str, Any] = {
        "account_id": "acme",
        "sender_domain": "a.example",
        "mailbox_provider": "",
        "owner_hash": 7,
        "recommendation": "pause",
        "outcome_count": 10_000,
        "state": "{}",
        **rates,
        **fields,
    }
    return CurrentRow(**values)


def test_the_days_of_a_backtest_are_what_the_events_say(reader: ReputationReader, rows: list[Row]) -> None:
    first, last = (AS_OF - timedelta(days=9)).date(), AS_OF.date()

    found = dict(reader.daily(first, last))

    wanted: defaultdict[tuple[Subject, int], WindowCounts] = defaultdict(WindowCounts)
    for row in rows:
        if first <= row["occurred_at"].date() < last:
            day_ms = milliseconds(row["occurred_at"]) // DAY_MS * DAY_MS
            wanted[Subject(row["account_id"], row["sender_domain"]), day_ms] += counted(row)
    seen = {(subject, day.start_ms): day.counts for subject, days in found.items() for day in days}
    assert seen == wanted


def test_the_command_shows_where_a_policy_would_have_differed(tmp_path: Path) -> None:
    db = migrated_database()
    day = (NOW - timedelta(days=5)).replace(hour=12)
    db.insert(
        [event("delivered", day, sender_domain="a.example") for _ in range(300)]
        + [event("hard_bounce", day, sender_domain="a.example", hard=True) for _ in range(25)]
    )
    policy = tmp_path / "strict.toml"
    policy.write_text("[hard_bounces]\nwarning_rate = 0.01\ncritical_rate = 0.02\n")
    said = {"CLICKHOUSE_URL": db.settings.clickhouse_url, "CLICKHOUSE_DATABASE": db.name}
    ends = ("--from", f"{day - timedelta(days=2):%Y-%m-%dT00:00:00Z}", "--to", f"{NOW:%Y-%m-%dT00:00:00Z}")

    answer = run_postloop(
        *("reputation", "backtest", "--policy", str(policy), *ends, "--json"),
        env={**os.environ, **{f"POSTLOOP_{name}": value for name, value in said.items()}},
        cwd=tmp_path,
    )

    assert answer.returncode == 0, answer.stderr
    (change,) = [json.loads(line) for line in answer.stdout.splitlines()]
    assert (change["day"], change["grade_by_policy"]) == (day.date().isoformat(), "bad")
    assert change["grade"] in ("low", "medium")
