"""Slices of deliveries and hours of feedback are what the events say in plain Python; on the real engine."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from postloop.adapters.feedback_reader import FeedbackReader
from postloop.adapters.watch_store import WatchRow, WatchStore
from postloop.contracts.fields import milliseconds
from postloop.domain.alert import Scope
from postloop.domain.delivery_time import ON_TIME_S, Slice
from postloop.domain.silence import Feedback
from tests.support.database import Database, Row, event, migrated_database

UNTIL = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOUR = timedelta(hours=1)
SLICE_MS = 600_000
KINDS = ("accepted", "rejected", "suppressed", "delivered", "delivered", "delivered", "deferral")
KINDS += ("hard_bounce", "soft_bounce", "complaint", "human", "machine", "unsubscribe")
FEEDBACK: dict[Feedback, tuple[str, ...]] = {
    "delivery": ("delivered",),
    "bounce": ("hard_bounce", "soft_bounce"),
    "complaint": ("complaint",),
    "open": ("open",),
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    chance = random.Random(11)
    found = []
    for _ in range(3_000):
        at = UNTIL + timedelta(minutes=10) - timedelta(seconds=chance.uniform(0, 6 * 3600))
        late_s = chance.choice([1, 60, ON_TIME_S, ON_TIME_S + 1, 4_000])
        found.append(
            event(
                chance.choice(KINDS),
                at,
                account_id=chance.choice(["acme", "zeta"]),
                sender_domain=chance.choice(["a.example", "b.example"]),
                mailbox_provider=chance.choice(["gmail", "yahoo", "corporate"]),
                sent_at=chance.choice([None, at - timedelta(seconds=late_s)]),
            )
        )
    return found


@pytest.fixture(scope="module")
def db(rows: list[Row]) -> Database:
    database = migrated_database()
    database.insert(rows)
    return database


@pytest.fixture
def reader(db: Database) -> FeedbackReader:
    return FeedbackReader(db.client, db.settings)


def scopes_of(row: Row) -> list[Scope]:
    account, domain, provider = (row[n] for n in ("account_id", "sender_domain", "mailbox_provider"))
    everywhere = Scope(account_id=account, sender_domain=domain)
    if provider == "corporate":
        return [everywhere]
    at = Scope(account_id=account, sender_domain=domain, mailbox_provider=provider)
    return [everywhere, at, Scope(mailbox_provider=provider)]


def test_slices_are_what_the_events_say(reader: FeedbackReader, rows: list[Row]) -> None:
    since = UNTIL - timedelta(minutes=90)
    wanted: defaultdict[Scope, dict[int, Slice]] = defaultdict(dict)
    for row in rows:
        at_ms = milliseconds(row["occurred_at"]) // SLICE_MS * SLICE_MS
        in_time = milliseconds(since) <= at_ms and row["occurred_at"] < UNTIL
        if row["outcome"] == "delivered" and row["sent_at"] is not None and in_time:
            is_late = (row["occurred_at"] - row["sent_at"]).total_seconds() > ON_TIME_S
            for scope in scopes_of(row):
                before = wanted[scope].get(at_ms, Slice(at_ms=at_ms))
                wanted[scope][at_ms] = Slice(
                    at_ms=at_ms,
                    delivered_count=before.delivered_count + 1,
                    delayed_count=before.delayed_count + is_late,
                )

    def found(least: int) -> dict[Scope, dict[int, Slice]]:
        slices = reader.slices(
            since + timedelta(minutes=3), UNTIL, slice_ms=SLICE_MS, min_delivered_count=least
        )
        return {scope: {one.at_ms: one for one in of} for scope, of in slices}

    assert found(1) == wanted
    sizes = {scope: sum(one.delivered_count for one in of.values()) for scope, of in wanted.items()}
    least = sorted(sizes.values())[len(sizes) // 2]
    assert set(found(least)) == {scope for scope, size in sizes.items() if size >= least}


@pytest.mark.parametrize("only", [False, True], ids=["everybody", "some"])
def test_hours_are_what_the_events_say(reader: FeedbackReader, rows: list[Row], only: bool) -> None:
    since = UNTIL - 4 * HOUR
    senders = [
        Scope(account_id="acme", sender_domain="a.example"),
        Scope(account_id="zeta", sender_domain="b.example"),
    ]
    found = reader.hours(since, UNTIL, scopes=senders if only else None)

    counts: Counter[tuple[Scope, str, datetime]] = Counter()
    for row in rows:
        hour = row["occurred_at"].replace(minute=0, second=0, microsecond=0)
        for scope in (scopes_of(row)[0], Scope()):
            counts[scope, row["outcome"], hour] += 1
    nobody = Scope(account_id="acme", sender_domain="nobody.example")
    for scope in [*senders, nobody, *([] if only else [Scope()])]:
        for feedback, outcomes in FEEDBACK.items():
            mail = "accepted" if feedback == "delivery" else "delivered"
            hours = [since + n * HOUR for n in range(4)]
            assert [(one.at_ms, one.mail_count, one.seen_count) for one in found.of(scope, feedback)] == [
                (milliseconds(at), counts[scope, mail, at], sum(counts[scope, o, at] for o in outcomes))
                for at in hours
            ], (scope, feedback)
    assert (Scope() in found.counts) is not only
    if not only:
        assert reader.everybody(since, UNTIL).counts == {Scope(): found.counts[Scope()]}


def test_who_is_busy_has_that_much_feedback_of_one_kind(reader: FeedbackReader, rows: list[Row]) -> None:
    seen: Counter[Scope] = Counter()
    for row in rows:
        if row["outcome"] == "delivered" and UNTIL - 4 * HOUR <= row["occurred_at"] < UNTIL:
            seen[scopes_of(row)[0]] += 1
    least = sorted(seen.values())[1]

    found = reader.busy(UNTIL - 4 * HOUR, UNTIL, min_count=least, limit=100)

    assert {scope: counts.seen("delivery") for scope, counts in found} == {
        scope: count for scope, count in seen.items() if count >= least
    }
    assert len(reader.busy(UNTIL - 4 * HOUR, UNTIL, min_count=least, limit=2)) == 2


def test_an_hour_has_passed_when_later_events_are_stored(reader: FeedbackReader) -> None:
    assert reader.has_passed(UNTIL, until=UNTIL + HOUR)
    assert not reader.has_passed(UNTIL + 2 * HOUR, until=UNTIL + 3 * HOUR)


def test_the_newest_of_what_the_watches_know_is_restored_and_what_is_deleted_is_not(db: Database) -> None:
    store = WatchStore(db.client, db.settings)
    old = WatchRow(key='d|["acme","a.example",null]', owner_hash=7, version=1, value="old")
    new = WatchRow(key=old.key, owner_hash=7, version=2, value="new")
    gone = WatchRow(key='d|["acme","b.example",null]', owner_hash=7, version=1, value="gone")
    for _ in range(2):
        store.write([new, gone])
        store.write([old, WatchRow(key=gone.key, owner_hash=7, version=2, value="", is_deleted=True)])

    assert store.restore(1, 2) == [(new.key, "new")]
    assert store.restore(0, 2) == []
