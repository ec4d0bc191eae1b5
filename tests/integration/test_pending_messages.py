"""Messages without a final event are those of the events, by age and sending time; on the real engine."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postloop.adapters.rollup_repair import repair_hours
from postloop.contracts.rows import columns_of
from postloop.domain.event_types import EventType
from postloop.simulation.generator import Simulation
from postloop.simulation.plan import Plan
from tests.support.database import Database, Row, event, migrated_database

AS_OF = datetime.now(UTC).replace(minute=17, second=31, microsecond=250_000)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WINDOWS = {
    "1h": (HOUR, MINUTE),
    "24h": (24 * HOUR, MINUTE),
    "7d": (7 * 24 * HOUR, HOUR),
    "30d": (30 * 24 * HOUR, HOUR),
}
AGES = ("under_5min", "under_72h", "lost")
DIMENSIONS = ("account_id", "sender_domain", "mailbox_provider")
FINAL = ("delivered", "hard_bounce", "soft_bounce")


def floor(at: datetime, step: timedelta) -> datetime:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return start + (at - start) // step * step


def pending(db: Database, window: str, *, as_of: datetime = AS_OF) -> dict[tuple[str, ...], Row]:
    """Return the rows of the view at an instant by their dimensions."""
    rows = db.query(
        f"SELECT * FROM v_pending_messages_at(as_of = '{as_of:%Y-%m-%d %H:%M:%S}') WHERE window = '{window}'"
    )
    return {tuple(row[name] for name in DIMENSIONS): row for row in rows}


def one(db: Database, window: str, *, as_of: datetime = AS_OF) -> list[int]:
    """Return the counts by age of the only row."""
    (row,) = pending(db, window, as_of=as_of).values()
    return [row[f"{age}_count_by_sent"] for age in AGES]


def mail(seed: int, *, count: int) -> list[Row]:
    """Return the events of messages over 31 days: some final, some not, some retried, some without sending time."""
    chance, rows = random.Random(seed), []
    for number in range(count):
        span = chance.choice([0.1, 1, 24, 80, 31 * 24])
        sent = AS_OF - timedelta(hours=chance.uniform(0, span))
        message = {
            "message_id": f"m{number}",
            "recipient": f"r{number}@example.org",
            "account_id": chance.choice(["acme", "zeta"]),
            "sender_domain": chance.choice(["a.test", "b.test"]),
            "mailbox_provider": chance.choice(["gmail", "yahoo"]),
            "sent_at": None if chance.random() < 0.1 else sent,
        }
        if chance.random() < 0.1:
            rows.append(event(chance.choice(["rejected", "suppressed"]), sent, **message))
            continue
        rows.append(event("accepted", sent, **message))
        later = sent + timedelta(seconds=chance.expovariate(1 / chance.choice([5, 400, 90_000])))
        if chance.random() < 0.2:
            rows.append(event("deferral", sent + (later - sent) / 2, **message))
        if chance.random() < 0.85:
            rows.append(
                event(chance.choice([*["delivered"] * 8, "hard_bounce", "soft_bounce"]), later, **message)
            )
            if rows[-1]["outcome"] == "delivered" and chance.random() < 0.5:
                rows.append(event("human", later + MINUTE, **message))
    return rows


def expected(rows: Iterable[Row], window: str, as_of: datetime) -> dict[tuple[str, ...], Counter[str]]:
    """Judge every message by itself, from what occurred before the end of the window."""
    length, step = WINDOWS[window]
    until = floor(as_of, step)
    finals = {
        (row["message_id"], row["recipient"])
        for row in rows
        if row["outcome"] in FINAL and floor(row["occurred_at"], step) < until
    }
    found: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["outcome"] != "accepted" or row["sent_at"] is None:
            continue
        sent = floor(row["sent_at"], step)
        if not until - length <= sent < until:
            continue
        counts = found[tuple(row[name] for name in DIMENSIONS)]
        counts["accepted"] += 1
        if (row["message_id"], row["recipient"]) not in finals:
            age = 0 if sent >= until - 5 * MINUTE else 1 if sent >= until - 72 * HOUR else 2
            counts[AGES[age]] += 1
    return found


@pytest.fixture(scope="module")
def mixed() -> tuple[Database, list[Row]]:
    db, rows = migrated_database(), mail(11, count=3_000)
    random.Random(1).shuffle(rows)
    for start in range(0, len(rows), 2_000):
        db.insert(rows[start : start + 2_000])
    return db, rows


@pytest.mark.parametrize("before", [timedelta(0), timedelta(days=2, hours=5)], ids=["now", "earlier"])
@pytest.mark.parametrize("window", WINDOWS)
def test_counts_are_those_of_the_messages(
    mixed: tuple[Database, list[Row]], window: str, before: timedelta
) -> None:
    db, rows = mixed
    truth, found = expected(rows, window, AS_OF - before), pending(db, window, as_of=AS_OF - before)
    assert found.keys() == truth.keys()
    for key, counts in truth.items():
        assert {name: found[key][f"{name}_count_by_sent"] for name in ("accepted", *AGES)} == {
            name: counts[name] for name in ("accepted", *AGES)
        }, key


def test_reconcile_finds_nothing_to_repair_in_the_cohorts(mixed: tuple[Database, list[Row]]) -> None:
    db, _ = mixed
    report = repair_hours(db.client, [AS_OF - HOUR * n for n in (2, 30, 90)])
    assert (report.difference_count, report.busy_hours) == (0, [])


@pytest.fixture
def db() -> Database:
    return migrated_database()


def test_a_message_is_lost_72_hours_after_it_was_sent_until_it_is_heard_of(db: Database) -> None:
    sent = floor(AS_OF, HOUR) - 100 * HOUR
    message = {"message_id": "m", "recipient": "r@example.org", "sent_at": sent}
    db.insert([event("accepted", sent, **message), event("delivered", sent + 90 * HOUR, **message)])
    after = {hours: one(db, "7d", as_of=sent + hours * HOUR) for hours in (1, 72, 73, 90, 91)}
    assert after == {1: [0, 1, 0], 72: [0, 1, 0], 73: [0, 0, 1], 90: [0, 0, 1], 91: [0, 0, 0]}


def test_an_end_that_names_a_moment_in_the_next_minute_still_ends_its_message(db: Database) -> None:
    edge = floor(AS_OF, MINUTE) - 30 * MINUTE
    early, late = edge - timedelta(milliseconds=3), edge + timedelta(milliseconds=3)
    db.insert([event("accepted", early, sent_at=early), event("delivered", late + MINUTE, sent_at=late)])
    assert one(db, "1h") == [0, 0, 0]


def test_each_second_end_of_a_message_hides_one_that_has_none(db: Database) -> None:
    """What is stated: counters cannot tell a bounce after a delivery from the end of another message."""
    sent = AS_OF - 100 * HOUR
    rows = [event("accepted", sent, message_id=f"m{n}", sent_at=sent) for n in range(10)]
    rows += [event("delivered", sent + MINUTE, message_id=f"m{n}", sent_at=sent) for n in range(7)]
    rows += [event("hard_bounce", sent + HOUR, message_id=f"m{n}", sent_at=sent) for n in range(2)]
    db.insert(rows)
    (row,) = pending(db, "7d").values()
    lost, bounced = row["lost_count_by_sent"], row["bounce_count_by_sent"]
    assert lost == 1
    assert lost <= 3 <= lost + bounced


def test_more_ends_than_sends_are_no_message_below_zero(db: Database) -> None:
    sent = AS_OF - 100 * HOUR
    db.insert([event("delivered", sent, sent_at=sent)])
    assert one(db, "7d") == [0, 0, 0]


def simulated(plan: Plan) -> list[tuple[EventType, dict[str, Any]]]:
    """Return the events of a simulation as they stand on Kafka."""
    records = Simulation(plan).records()
    return [(record.event_type, json.loads(record.value)) for record in records if record.value]


def stored(events: list[tuple[EventType, dict[str, Any]]]) -> Iterator[Row]:
    """Yield the rows that the recorder stores of them."""
    of_type: dict[EventType, list[dict[str, Any]]] = defaultdict(list)
    for kind, event_of_kind in events:
        times = {
            name: at(event_of_kind[name]) for name in ("occurred_at", "sent_at") if name in event_of_kind
        }
        of_type[kind].append(event_of_kind | times)
    for kind, members in of_type.items():
        columns = columns_of(kind, members)
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True)) | {"event_type": kind}
            yield {name: value for name, value in row.items() if name in STORED}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


STORED = {
    "event_id", "event_type", "occurred_at", "sent_at", "account_id", "sender_domain", "message_id", "recipient",
    "mailbox_provider", "mail_class", "outcome",
}  # fmt: skip


def test_a_simulation_is_recounted_message_by_message_from_what_stands_on_kafka(db: Database) -> None:
    """Counted from the JSON alone, and by what is stated of messages with two ends."""
    start = floor(AS_OF, HOUR) - timedelta(days=6)
    plan = Plan(
        events=6_000, seed=4, start_ms=int(start.timestamp()) * 1000, span_ms=5 * 86_400_000, domains=5, accounts=3,
        duplicates=0.0, invalid=0.0, late=0.0, array_share=0.0,
    )  # fmt: skip
    events = simulated(plan)
    # One delivery in seven is never heard of.
    heard = [e for n, e in enumerate(events) if e[0] != "delivery" or n % 7]
    db.insert(stored(heard))

    lost, hidden = recounted(heard, until=floor(AS_OF, HOUR))
    found: Counter[tuple[str, str]] = Counter()
    for (account, domain, _), row in pending(db, "7d").items():
        found[account, domain] += row["lost_count_by_sent"]
    assert sum(lost.values()) > 100
    for key, count in lost.items():
        assert count - hidden[key] <= found[key] <= count, key


def recounted(
    events: list[tuple[EventType, dict[str, Any]]], *, until: datetime
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Return by account and domain the lost messages, and the ends that hide one: second ones, or without a send."""
    lost: Counter[tuple[str, str]] = Counter()
    hidden: Counter[tuple[str, str]] = Counter()
    sent: dict[tuple[str, str], tuple[str, str]] = {}
    ends: Counter[tuple[str, str]] = Counter()
    for kind, e in events:
        message, sender = (e["message_id"], e["recipient"]), (e["account_id"], e["sender_domain"])
        if "sent_at" not in e or floor(at(e["sent_at"]), HOUR) >= until - 72 * HOUR:
            continue
        if kind == "send" and e.get("status", "accepted") == "accepted":
            sent[message] = sender
        if kind == "delivery" or (kind == "bounce" and e.get("action", "failed") == "failed"):
            ends[message] += 1
            hidden[sender] += 1
    for message, sender in sent.items():
        lost[sender] += message not in ends
        hidden[sender] -= message in ends
    return lost, hidden
