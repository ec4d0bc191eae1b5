"""What one query says of the past of a sender domain is what the views and plain counting say."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from postloop.adapters.domain_reader import SERIES, DomainReader
from tests.support.database import Database, Row, event, migrated_database

HOUR: Final = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
NOW: Final = HOUR + timedelta(minutes=59)
WHO: Final = ("acme", "one.example")
# Around every edge: the running hour, midnight of the first day of the series, the first hour of the opens.
AGES_H: Final = (0, 1, 2, 30, 47, 48, 49, 24 * 28, 24 * 29, 24 * 30 - 1, 24 * 30, 24 * 30 + 1, 24 * 33)


def mail(mix: random.Random) -> list[Row]:
    rows = []
    for number, age_h in enumerate(AGES_H * 8):
        at = HOUR - timedelta(hours=age_h) + timedelta(seconds=mix.randrange(3_500))
        about = {
            "sender_domain": WHO[1],
            "mail_class": mix.choice(["marketing", "transactional", "notification"]),
            "mailbox_provider": mix.choice(["gmail", "apple", "apple"]),
            "message_id": f"m{number}",
            "recipient": f"r{number}@example.org",
        }
        kinds = ["accepted", mix.choice(["delivered", "delivered", "hard_bounce", "soft_bounce"])]
        kinds += mix.choices(["human", "machine", "complaint", "unsubscribe"], k=mix.randrange(3))
        rows += [event(kind, at + timedelta(seconds=place), **about) for place, kind in enumerate(kinds)]
        rows.append(event("delivered", at, **{**about, "sender_domain": "other.example"}))
        rows.append(event("delivered", at, account_id="other", **about))
    return rows


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return mail(random.Random(20))


@pytest.fixture(scope="module")
def database(rows: list[Row]) -> Database:
    made = migrated_database()
    made.insert(rows)
    return made


@pytest.fixture(scope="module")
def reader(database: Database) -> DomainReader:
    return DomainReader(database.client, database.settings)


def test_opens_are_those_of_the_view(database: Database, reader: DomainReader) -> None:
    found = reader.past(*WHO, now=NOW).opens
    told = database.query(
        "SELECT mail_class, delivered_count, human_open_count, raw_open_rate, blind_rate "
        "FROM v_open_rate_at(as_of = {as_of:DateTime('UTC')}) WHERE `window` = '30d' AND delivered_count > 0 "
        "AND account_id = {account:String} AND sender_domain = {domain:String} ORDER BY mail_class",
        as_of=HOUR,
        account=WHO[0],
        domain=WHO[1],
    )
    assert len(found) == 3
    assert [
        (
            one.mail_class,
            one.delivered_count,
            one.human_count,
            pytest.approx(one.raw_count / one.delivered_count),
            pytest.approx(one.blind_count / one.delivered_count),
        )
        for one in found
    ] == [tuple(row.values()) for row in told]


def test_series_are_counted_by_hours_and_days_without_a_gap(reader: DomainReader, rows: list[Row]) -> None:
    own = [row for row in rows if row["sender_domain"] == WHO[1] and row.get("account_id", WHO[0]) == WHO[0]]
    series = reader.past(*WHO, now=NOW).series
    for name, (step, count) in SERIES.items():
        points = series[name]
        last = HOUR if name == "hour" else HOUR.replace(hour=0)
        assert [point.at for point in points] == [last - step * back for back in reversed(range(count))]
        for kind, column in (
            ("accepted", "send_count"),
            ("delivered", "delivered_count"),
            ("hard_bounce", "hard_bounce_count"),
            ("complaint", "complaint_count"),
        ):
            expected = Counter(
                row["occurred_at"].replace(
                    minute=0, second=0, microsecond=0, **({"hour": 0} if name == "day" else {})
                )
                for row in own
                if row["outcome"] == kind
            )
            assert [getattr(point, column) for point in points] == [expected[point.at] for point in points]


def test_delivery_times_are_those_of_the_view(database: Database, reader: DomainReader) -> None:
    who = ("acme", "times.example")
    mix, now = random.Random(7), datetime.now(UTC)
    ages = [timedelta(minutes=5), timedelta(hours=20), timedelta(hours=25)]
    database.insert(
        event(
            "delivered",
            at := now - mix.choice(ages),
            account_id=who[0],
            sender_domain=who[1],
            mailbox_provider=mix.choice(["gmail", "gmail", "apple"]),
            sent_at=at - timedelta(milliseconds=int(mix.lognormvariate(8, 3))),
        )
        for _ in range(400)
    )
    told = database.query(
        "SELECT mailbox_provider, delivered_count, p50_s, p95_s, delayed_rate FROM v_delivery_latency "
        "WHERE `window` = '24h' AND account_id = {account:String} AND sender_domain = {domain:String} "
        "ORDER BY delivered_count DESC",
        account=who[0],
        domain=who[1],
    )
    found = [asdict(one) for one in reader.latencies(*who)]
    assert [one["mailbox_provider"] for one in found] == ["gmail", "apple"]
    assert found == [pytest.approx(row) for row in told]
    assert all(0 < one["delayed_rate"] < 1 for one in found)


def test_nobody_has_no_opens_and_empty_series(reader: DomainReader) -> None:
    past = reader.past("nobody", "one.example", now=NOW)
    assert past.opens == []
    assert all(point.send_count == 0 for points in past.series.values() for point in points)
