"""Rollups that differ from the raw events are found and put right, on the real engine."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postloop.adapters import rollup_screen
from postloop.adapters.migration_render import Layout
from postloop.adapters.rollup_repair import (
    pending_hours,
    queue_hours,
    repair_hours,
    stored_hours,
    work_queue,
)
from postloop.adapters.rollup_screen import screen_hours
from tests.support.database import Database, Row, event, migrated_database, recently
from tests.support.processes import wait_until

ROLLUPS = ("rollup_minute", "rollup_hour")
KINDS = (
    "accepted",
    "rejected",
    "delivered",
    "hard_bounce",
    "soft_bounce",
    "complaint",
    "unsubscribe",
    "human",
)
VERDICTS = {
    "hard_bounce": {"reason": "user_unknown", "hard": True, "fault": "recipient"},
    "soft_bounce": {"reason": "policy", "fault": "sender"},
}


@pytest.fixture(scope="module")
def shared() -> Database:
    return migrated_database()


@pytest.fixture
def db(shared: Database) -> Database:
    for table in ("events", *ROLLUPS, "reconcile_queue"):
        shared.client.command(f"TRUNCATE TABLE {table}")
    return shared


def mixed_rows(at: datetime, *, count: int = 60) -> list[Row]:
    """Return events of all kinds over half an hour, some with campaign and delivery time."""
    return [
        event(
            KINDS[n % len(KINDS)],
            at + timedelta(seconds=30 * n),
            event_id=f"mixed{n}",
            sent_at=at - timedelta(seconds=n),
            campaign_id="spring" if n % 3 else "",
            sender_domain=f"mail{n % 4}.acme.test",
            **VERDICTS.get(KINDS[n % len(KINDS)], {}),
        )
        for n in range(count)
    ]


def counted(db: Database, rollup: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Return what a rollup says, without rows that a repair brought to nothing."""
    rows = db.client.query(
        f"SELECT `cube`, toString(bucket), sender_domain, campaign_id, topic, toString(latency_bin), "
        "reason, sum(r.event_count), sum(r.delivered_count), sum(r.open_count), sum(r.hard_bounce_count), "
        "sum(r.refusal_count), uniqCombined64Merge(r.human_opens) "
        f"FROM {rollup} AS r GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(r.event_count) != 0"
    ).result_rows
    return {tuple(row[:7]): tuple(row[7:]) for row in rows}


def domain_events(db: Database, rollup: str) -> int:
    return int(db.one(f"SELECT sum(event_count) FROM {rollup} WHERE cube = 'domain'"))


def repair(db: Database, *hours: datetime, **options: object) -> int:
    """Repair and return the number of wrong rollup rows."""
    report = repair_hours(db.client, hours, **options)  # type: ignore[arg-type]
    assert not report.busy_hours
    return report.difference_count


def test_rollups_fed_by_inserts_differ_in_nothing(db: Database) -> None:
    db.insert(mixed_rows(recently()))
    assert repair(db, recently()) == 0


@pytest.mark.parametrize("rollup", ROLLUPS)
def test_rows_that_a_view_missed_are_added(rollup: str) -> None:
    db = migrated_database()
    at = recently()
    db.insert(mixed_rows(at))
    right = counted(db, rollup)
    db.client.command(f"DROP TABLE {rollup}_feed")
    db.insert([event("human", at, sender_domain="late.test"), event("delivered", at, sent_at=at)])
    missed = counted(db, rollup)
    assert missed == right
    assert repair(db, at) > 0
    assert domain_events(db, rollup) == 62
    bucket = at if rollup == "rollup_minute" else at.replace(minute=0)
    late = ("domain", f"{bucket:%Y-%m-%d %H:%M:%S}", "late.test", "", "", "0", "")
    assert counted(db, rollup)[late] == (1, 0, 1, 0, 0, 1)
    assert repair(db, at) == 0


@pytest.mark.parametrize("rollup", ROLLUPS)
def test_rows_that_a_view_counted_twice_are_taken_off(db: Database, rollup: str) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    right = counted(db, rollup)
    db.client.command(f"INSERT INTO {rollup} SELECT * FROM {rollup} SETTINGS insert_deduplicate = 0")
    assert domain_events(db, rollup) == 120
    assert repair(db, at) == len(right)
    assert counted(db, rollup) == right
    assert repair(db, at) == 0


def test_a_part_lost_after_its_token_was_logged_comes_back_although_its_run_is_sent_again(
    db: Database,
) -> None:
    at = recently()
    rows = mixed_rows(at)
    stored = [{**row, "offset": n, "message_id": f"m{n}", "recipient": f"r{n}"} for n, row in enumerate(rows)]
    db.insert(stored, token="run-1")
    right = {rollup: counted(db, rollup) for rollup in ROLLUPS}
    for rollup in ROLLUPS:
        # Unlike dropping a part, this leaves its token in the log.
        db.client.command(f"ALTER TABLE {rollup} DELETE WHERE true SETTINGS mutations_sync = 1")
    db.insert(stored, token="run-1")
    assert [domain_events(db, rollup) for rollup in ROLLUPS] == [0, 0]  # the re-send is dropped everywhere
    assert repair(db, at) == sum(map(len, right.values()))
    assert {rollup: counted(db, rollup) for rollup in ROLLUPS} == right
    assert repair(db, at) == 0


def test_a_repair_that_was_itself_lost_is_done_again(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    right = counted(db, "rollup_minute")
    for _ in range(3):
        # The same difference under the same counters: the token of the first repair is already known.
        db.client.command("ALTER TABLE rollup_minute DELETE WHERE true SETTINGS mutations_sync = 1")
        assert repair(db, at) == len(right)
        assert counted(db, "rollup_minute") == right


def test_a_repeat_on_another_partition_counts_once_in_the_bucket_of_the_copy_stored_first(
    db: Database,
) -> None:
    at = recently()
    db.insert(
        [event("delivered", at, event_id="a"), event("delivered", at + timedelta(minutes=1), event_id="b")]
    )
    again = at + timedelta(minutes=10)
    db.insert(
        [
            event("delivered", at, event_id="a", partition=3, stored_at=again),
            event("delivered", at + timedelta(minutes=7), event_id="b", partition=3, stored_at=again),
        ]
    )
    assert [domain_events(db, rollup) for rollup in ROLLUPS] == [4, 4]
    repair(db, at)
    buckets = db.client.query(
        "SELECT dateDiff('minute', min(bucket) OVER (), bucket), sum(r.event_count) AS n FROM rollup_minute AS r "
        "WHERE cube = 'domain' GROUP BY bucket HAVING n != 0 ORDER BY bucket"
    ).result_rows
    assert buckets == [(0, 1), (1, 1)]
    assert domain_events(db, "rollup_hour") == 2
    assert repair(db, at) == 0


def test_a_repeat_in_another_hour_counts_in_the_hour_of_the_copy_stored_first(db: Database) -> None:
    at, later = recently(), recently(hours=-2)
    db.insert([event("delivered", later, event_id="a", stored_at=later + timedelta(minutes=5))])
    db.insert([event("delivered", at, event_id="a", stored_at=later)])
    assert repair(db, at, later) > 0
    hours = db.client.query(
        "SELECT bucket, sum(r.event_count) AS n FROM rollup_hour AS r "
        "WHERE cube = 'domain' GROUP BY bucket HAVING n != 0"
    ).result_rows
    assert [(hour.replace(tzinfo=UTC), n) for hour, n in hours] == [(at.replace(minute=0), 1)]
    assert repair(db, at, later) == 0


def test_event_ids_are_compared_within_their_topic_only(db: Database) -> None:
    at = recently()
    db.insert([event("delivered", at, event_id="same"), event("human", at, event_id="same")])
    assert repair(db, at) == 0


def test_a_dry_run_reports_the_signed_difference_and_changes_nothing(db: Database) -> None:
    at = recently()
    db.insert([event("delivered", at, event_id="a"), event("delivered", at, event_id="a", partition=1)])
    for _ in range(2):
        report = repair_hours(db.client, [at], dry_run=True)
        found = {(d.table, d.cube): d.counters for d in report.differences}
        assert found["rollup_minute", "domain"] == {"event_count": -1, "delivered_count": -1}
        assert found["rollup_hour", "pool"] == {"event_count": -1, "delivered_count": -1}
    assert domain_events(db, "rollup_hour") == 2


def test_unique_opens_survive_a_lost_rollup(db: Database) -> None:
    at = recently()
    opens = [event("human", at, message_id=f"m{n % 5}", recipient="r@example.org") for n in range(20)]
    db.insert(opens)
    db.client.command("TRUNCATE TABLE rollup_hour")
    repair(db, at)
    assert db.one("SELECT uniqCombined64Merge(human_opens) FROM rollup_hour WHERE cube = 'domain'") == 5


def test_late_events_count_in_their_hour_without_a_difference(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    db.insert([event("delivered", at, record_at=at + timedelta(hours=3), stored_at=at + timedelta(hours=3))])
    assert domain_events(db, "rollup_hour") == 61
    assert repair(db, at) == 0


def test_inserts_beside_a_repair_make_no_false_difference(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    right = domain_events(db, "rollup_minute")
    stop, stored = threading.Event(), Counter[str]()

    def record(name: str) -> None:
        client = db.connect()
        while not stop.wait(0.1):
            db.insert(mixed_rows_of(name, stored[name], at), client=client)
            stored[name] += 7

    threads = [threading.Thread(target=record, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    try:
        reports = [repair_hours(db.client, [at], max_attempts=2, dry_run=n % 2 == 0) for n in range(4)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert sum(stored.values()) > 20
    assert [report.differences for report in reports] == [[]] * 4
    assert domain_events(db, "rollup_minute") == right + sum(stored.values())
    assert repair(db, at) == 0


def mixed_rows_of(name: str, number: int, at: datetime) -> list[Row]:
    return [
        event("delivered", at + timedelta(minutes=n), event_id=f"{name}-{number + n}", sent_at=at)
        for n in range(7)
    ]


def test_a_real_difference_is_repaired_once_while_inserts_go_on(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    db.client.command("TRUNCATE TABLE rollup_minute")
    stop, stored = threading.Event(), Counter[str]()

    def record() -> None:
        client = db.connect()
        while not stop.wait(0.1):
            db.insert(mixed_rows_of("r", stored["r"], at + timedelta(minutes=20)), client=client)
            stored["r"] += 7

    thread = threading.Thread(target=record)
    thread.start()
    try:
        repair_hours(db.client, [at])
    finally:
        stop.set()
        thread.join()
    repair(db, at)
    assert domain_events(db, "rollup_minute") == 60 + stored["r"]


def test_two_repairs_at_once_count_once(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    right = {rollup: counted(db, rollup) for rollup in ROLLUPS}
    for _ in range(2):
        for rollup in ROLLUPS:
            db.client.command(f"TRUNCATE TABLE {rollup}")
        in_threads(lambda: repair_hours(db.connect(), [at]), 3)
        assert {rollup: counted(db, rollup) for rollup in ROLLUPS} == right


def in_threads(work: Callable[[], object], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_hours_beyond_the_raw_retention_are_left_out_with_a_notice(db: Database) -> None:
    old = datetime.now(UTC) - db.settings.raw_retention - timedelta(days=1)
    report = repair_hours(db.client, [old])
    assert report.hours == []
    assert "left out" in report.notices[0]


def test_a_rollup_that_has_forgotten_an_hour_is_not_filled_again(db: Database) -> None:
    at = recently(days=40)  # past minute_retention, within hour_retention and raw_retention
    db.insert([event("delivered", at, stored_at=datetime.now(UTC))])
    db.client.command("TRUNCATE TABLE rollup_minute")
    db.client.command("TRUNCATE TABLE rollup_hour")
    report = repair_hours(db.client, [at])
    assert {found.table for found in report.differences} == {"rollup_hour"}


def test_stored_hours_are_those_with_raw_events_or_rollup_rows(db: Database) -> None:
    one, two, three = recently(), recently(hours=3), recently(hours=9)
    db.insert([event("delivered", at) for at in (one, two, three)])
    db.client.command(
        f"ALTER TABLE events DELETE WHERE occurred_at < '{two:%Y-%m-%d %H:00:00}' SETTINGS mutations_sync = 1"
    )
    hours = stored_hours(db.client, from_at=three - timedelta(hours=1), to_at=one)
    assert hours == [at.replace(minute=0) for at in (three, two)] + [one.replace(minute=0)]


def test_noted_hours_are_repaired_and_noted_as_done(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    db.client.command("TRUNCATE TABLE rollup_hour")
    queue_hours(db.client, [at, at + timedelta(minutes=5)], "healed")
    queue_hours(db.client, [at], "healed again")
    assert [(note.hour, note.reason) for note in pending_hours(db.client)] == [
        (at.replace(minute=0), "healed"),
        (at.replace(minute=0), "healed again"),
    ]
    assert work_queue(db.client).difference_count > 0
    assert pending_hours(db.client) == []
    assert work_queue(db.client).hours == []


def test_an_hour_that_agrees_needs_no_close_look_and_one_that_lost_a_rollup_row_does(db: Database) -> None:
    good, bad = recently(), recently() - timedelta(hours=2)
    db.insert(mixed_rows(good))
    db.insert(mixed_rows(bad))
    layout, hours = Layout(""), [at.replace(minute=0, second=0, microsecond=0) for at in (good, bad)]
    assert screen_hours(db.client, layout, hours).agreed == set(hours)
    db.client.command(
        "ALTER TABLE rollup_minute DELETE WHERE toStartOfHour(bucket) = {hour:DateTime} SETTINGS mutations_sync = 2",
        parameters={"hour": hours[1]},
    )
    assert screen_hours(db.client, layout, hours).agreed == {hours[0]}
    queue_hours(db.client, hours, "healed")
    compared: list[datetime] = []
    assert work_queue(db.client, on_hour=compared.append).difference_count > 0
    assert compared == [hours[1]] and pending_hours(db.client) == []


def test_an_hour_that_grows_while_it_is_looked_at_is_left_for_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, count = recently(), rollup_screen._rolled_counts
    db.insert(mixed_rows(at))
    db.client.command("TRUNCATE TABLE rollup_hour")
    queue_hours(db.client, [at], "healed")

    def while_it_grows(*arguments: Any) -> Any:
        db.insert([event("delivered", at, event_id=str(uuid4()))])
        return count(*arguments)

    compared: list[datetime] = []
    with monkeypatch.context() as patch:
        patch.setattr(rollup_screen, "_rolled_counts", while_it_grows)
        assert work_queue(db.client, on_hour=compared.append).hours == compared == []
    assert len(pending_hours(db.client)) == 1
    assert work_queue(db.client).difference_count > 0
    assert pending_hours(db.client) == []


def test_an_insert_that_has_not_fed_its_rollups_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    db, at, waited = migrated_database(), recently(), rollup_screen.wait_for_running_inserts
    feed = str(
        db.one(
            "SELECT as_select FROM system.tables WHERE name = 'rollup_hour_feed' AND database = currentDatabase()"
        )
    )
    db.client.command("DROP VIEW rollup_hour_feed")
    db.client.command(f"CREATE MATERIALIZED VIEW rollup_hour_feed TO rollup_hour AS {feed} AND sleep(2) = 0")
    queue_hours(db.client, [at], "first run of an owner")
    storing = threading.Thread(target=lambda: db.insert(mixed_rows(at), client=db.connect()))

    def once_its_rows_are_there(*arguments: Any, **options: Any) -> None:
        assert domain_events(db, "rollup_hour") == 0
        waited(*arguments, **options)

    compared: list[datetime] = []
    monkeypatch.setattr(rollup_screen, "wait_for_running_inserts", once_its_rows_are_there)
    storing.start()
    wait_until(
        lambda: db.one("SELECT count() FROM events") == 60, timeout_s=30, what="the raw rows are there"
    )
    report = work_queue(db.client, on_hour=compared.append)
    storing.join()
    assert (report.hours, compared) == ([at.replace(minute=0)], [])
    assert pending_hours(db.client) == []


def test_an_hour_noted_while_it_is_compared_stays_noted(db: Database) -> None:
    at = recently()
    db.insert(mixed_rows(at))
    db.client.command("TRUNCATE TABLE rollup_hour")  # else it agrees at first sight
    queue_hours(db.client, [at], "first")
    work_queue(db.client, on_hour=lambda hour: queue_hours(db.client, [hour], "second"))
    assert [note.reason for note in pending_hours(db.client)] == ["second"]


@dataclass(frozen=True)
class Damage:
    """Copies of events, as (identity, minute) in the order in which they were stored, and what was lost."""

    copies: list[tuple[int, int]]
    lost_rollup: str | None

    def first_minutes(self) -> dict[int, int]:
        """Return the minute in which each event counts: that of the copy stored first."""
        return dict(reversed(self.copies))


damages = st.builds(
    Damage,
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=25),
    st.none() | st.sampled_from(ROLLUPS),
)


# A pass over the engine costs seconds whatever it holds, so each repairs twelve accounts with a case of their own.
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases=st.lists(damages, min_size=12, max_size=12))
def test_whatever_is_stored_twice_or_missing_the_counts_equal_the_distinct_events(
    shared: Database, cases: list[Damage]
) -> None:
    at = recently()
    for table in ("events", *ROLLUPS):
        shared.client.command(f"TRUNCATE TABLE {table}")
    shared.insert(
        event(
            "delivered",
            at + timedelta(minutes=minute - 20),
            account_id=f"case{case}",
            event_id=f"x{case}-{identity}",
            stored_at=at + timedelta(seconds=number),
        )
        for case, damage in enumerate(cases)
        for number, (identity, minute) in enumerate(damage.copies)
    )
    for rollup in ROLLUPS:
        lose_rows(
            shared, rollup, [f"case{n}" for n, damage in enumerate(cases) if damage.lost_rollup == rollup]
        )
    hours = [at, at + timedelta(hours=1), at - timedelta(hours=1)]
    repair(shared, *hours)
    for rollup, floor in (("rollup_minute", {}), ("rollup_hour", {"minute": 0})):
        assert delivered_at(shared, rollup) == Counter(
            (f"case{case}", (at + timedelta(minutes=minute - 20)).replace(**floor))
            for case, damage in enumerate(cases)
            for minute in damage.first_minutes().values()
        )
    assert repair(shared, *hours) == 0


def lose_rows(db: Database, rollup: str, account_ids: list[str]) -> None:
    db.client.command(
        f"ALTER TABLE {rollup} DELETE WHERE has({{ids:Array(String)}}, account_id) SETTINGS mutations_sync = 1",
        parameters={"ids": account_ids},
    )


def delivered_at(db: Database, rollup: str) -> dict[tuple[str, datetime], int]:
    """Return deliveries by account and bucket, without what a repair brought to nothing."""
    rows = db.client.query(
        f"SELECT account_id, bucket, sum(r.delivered_count) AS n FROM {rollup} AS r "
        "WHERE cube = 'domain' GROUP BY account_id, bucket HAVING n != 0"
    ).result_rows
    return {(account_id, bucket.replace(tzinfo=UTC)): n for account_id, bucket, n in rows}
