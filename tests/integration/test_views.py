"""The views say what the events say: windows, counts, rates, percentiles, freshness; on the real engine."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.database import Database, Row, event, migrated_database

AS_OF = datetime.now(UTC).replace(minute=17, second=31, microsecond=250_000)
WINDOWS = {
    "1h": (timedelta(hours=1), timedelta(minutes=1)),
    "24h": (timedelta(hours=24), timedelta(minutes=1)),
    "7d": (timedelta(days=7), timedelta(hours=1)),
    "30d": (timedelta(days=30), timedelta(hours=1)),
}
BIN_ERROR = 2 ** (1 / 32) - 1
COUNT, RATE, TEXT, TIME = "UInt64", "Nullable(Float64)", "LowCardinality(String)", "DateTime64(3, 'UTC')"
DOMAIN = {"window": "String", "account_id": TEXT, "sender_domain": TEXT}
COLUMNS = {
    "v_domain_counts": DOMAIN
    | dict.fromkeys(("mailbox_provider", "ip_pool", "ip_pool_kind", "mail_class"), TEXT)
    | dict.fromkeys(
        (
            "send_count",
            "rejected_count",
            "suppressed_count",
            "delivered_count",
            "hard_bounce_count",
            "soft_bounce_count",
            "deferral_count",
            "complaint_count",
            "unsubscribe_count",
            "open_count",
            "human_open_count",
        ),
        COUNT,
    )
    | {"last_event_at": TIME},
    "v_open_rate": DOMAIN
    | {"mail_class": TEXT, "delivered_count": COUNT, "human_open_count": COUNT}
    | dict.fromkeys(("open_rate", "raw_open_rate", "blind_rate"), RATE),
    "v_campaign": DOMAIN
    | {"campaign_id": TEXT, "template_id": TEXT}
    | dict.fromkeys(
        (
            "delivered_count",
            "open_count",
            "human_open_count",
            "complaint_count",
            "unsubscribe_count",
            "refusal_count",
        ),
        COUNT,
    )
    | dict.fromkeys(("open_rate", "complaint_rate", "unsubscribe_rate", "refusal_rate"), RATE),
    "v_bounce_reasons": DOMAIN
    | {"mailbox_provider": TEXT, "reason": TEXT, "hard": "Bool", "fault": TEXT}
    | {"bounce_count": COUNT, "share_rate": RATE},
    "v_delivery_latency": DOMAIN
    | {"mailbox_provider": TEXT, "delivered_count": COUNT}
    | dict.fromkeys(("p50_s", "p95_s", "p99_s"), "Float64")
    | {"delayed_count": COUNT, "delayed_rate": RATE},
    "v_pending_messages": DOMAIN
    | {"mailbox_provider": TEXT}
    | dict.fromkeys(
        (
            f"{name}_count_by_sent"
            for name in ("accepted", "delivered", "bounce", "under_5min", "under_72h", "lost")
        ),
        COUNT,
    ),
    "v_ip_pool": DOMAIN
    | {"ip_pool": TEXT, "ip_pool_kind": TEXT, "own_delivered_count": COUNT}
    | dict.fromkeys(
        (f"own_{name}_rate" for name in ("hard_bounce", "soft_bounce", "complaint", "open")), RATE
    )
    | {"rest_delivered_count": f"Nullable({COUNT})"}
    | dict.fromkeys(
        (f"rest_{name}_rate" for name in ("hard_bounce", "soft_bounce", "complaint", "open")), RATE
    ),
}


@pytest.fixture(scope="module")
def shared() -> Database:
    return migrated_database()


@pytest.fixture
def db(shared: Database) -> Database:
    empty(shared)
    return shared


def empty(db: Database) -> None:
    for table in ("events", "rollup_minute", "rollup_hour"):
        db.client.command(f"TRUNCATE TABLE {table}")


def view(
    db: Database, name: str, *, window: str = "24h", as_of: datetime = AS_OF, where: str = "1"
) -> list[Row]:
    """Return the rows of a view at an instant."""
    moment = as_of.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return db.query(f"SELECT * FROM {name}_at(as_of = '{moment}') WHERE window = '{window}' AND {where}")


def one(db: Database, name: str, **options: Any) -> Row:
    (row,) = view(db, name, **options)
    return row


def ago(**before: float) -> datetime:
    return AS_OF - timedelta(**before)


def floor(at: datetime, step: timedelta) -> datetime:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return start + (at - start) // step * step


def is_in(window: str, at: datetime, as_of: datetime = AS_OF) -> bool:
    """The definition of a window, in Python."""
    length, step = WINDOWS[window]
    until = floor(as_of, step)
    return until - length <= floor(at, step) < until


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("form", ["{}", "{}_at(as_of = '2026-01-02 00:00:00')"], ids=["plain", "at"])
def test_columns_are_those_of_the_contract_in_order(db: Database, name: str, form: str) -> None:
    rows = db.client.query(f"DESCRIBE (SELECT * FROM {form.format(name)})").result_rows
    assert [row[:2] for row in rows] == list(COLUMNS[name].items())


def test_columns_of_freshness_are_those_of_the_contract(db: Database) -> None:
    rows = db.client.query("DESCRIBE (SELECT * FROM v_freshness)").result_rows
    times = [("last_occurred_at", TIME), ("last_stored_at", TIME)]
    assert [row[:2] for row in rows] == [("topic", TEXT), *times, ("lag_s", "Float64")]


edges = st.sampled_from(
    [delta for length, step in WINDOWS.values() for delta in (length, length + step, step)]
)
instants = st.builds(
    lambda edge, milliseconds: floor(AS_OF, timedelta(hours=1)) - edge + timedelta(milliseconds=milliseconds),
    edges | st.just(timedelta(0)),
    st.sampled_from([-1, 0, 1]) | st.integers(-3_700_000, 3_700_000),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    times=st.lists(instants, min_size=1, max_size=40),
    as_of=st.sampled_from([AS_OF, floor(AS_OF, timedelta(hours=1))]),
)
@example(times=[floor(AS_OF, timedelta(minutes=1)), ago(minutes=1), ago(hours=1)], as_of=AS_OF)
def test_a_window_holds_whole_buckets_up_to_the_one_that_runs(
    shared: Database, times: list[datetime], as_of: datetime
) -> None:
    empty(shared)
    shared.insert(event("delivered", at) for at in times)
    for window in WINDOWS:
        counts = [
            row["delivered_count"] for row in view(shared, "v_domain_counts", window=window, as_of=as_of)
        ]
        assert sum(counts) == sum(is_in(window, at, as_of) for at in times), window


def test_a_plain_view_is_its_twin_now(db: Database) -> None:
    now = datetime.now(UTC)
    db.insert(
        event(kind, now - timedelta(minutes=5 + 60 * n), sent_at=now - timedelta(hours=20), **columns)
        for n in range(30)
        for kind, columns in (
            ("delivered", {"campaign_id": "c"}),
            ("hard_bounce", {"reason": "user_unknown", "fault": "recipient"}),
        )
    )
    for name in COLUMNS:
        before = datetime.now(UTC)
        plain = db.query(f"SELECT * FROM {name} ORDER BY ALL")
        after = datetime.now(UTC)
        twins = [
            db.query(f"SELECT * FROM {name}_at(as_of = '{at:%Y-%m-%d %H:%M:%S}') ORDER BY ALL")
            for at in (before, after)
        ]
        assert plain in twins, name
        assert {row["window"] for row in plain} >= {"24h", "7d", "30d"}, name


OUTCOMES = ("accepted", "rejected", "suppressed", "delivered", "hard_bounce", "soft_bounce", "deferral")
BOUNCES = ("hard_bounce", "soft_bounce", "deferral")
# The last one is that of a recorder that knew no reasons.
VERDICTS = (("user_unknown", "recipient"), ("policy", "sender"), ("network", "infrastructure"), ("", ""))
FEEDBACK = ("complaint", "not_spam", "unsubscribe", "human", "machine")


def random_events(seed: int, *, count: int) -> list[Row]:
    """Return events over 31 days with all dimensions, among them unique and repeated opens."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        at = ago(
            minutes=chance.choice(
                [chance.uniform(0, 90), chance.uniform(0, 1500), chance.uniform(0, 31 * 1440)]
            )
        )
        provider = chance.choice(["gmail", "apple", "yahoo"])
        kind = chance.choice([*OUTCOMES, *FEEDBACK, *["delivered"] * 6])
        reason, fault = chance.choice(VERDICTS) if kind in BOUNCES else ("", "")
        rows.append(
            event(
                kind,
                at,
                reason=reason,
                fault=fault,
                hard=kind == "hard_bounce",
                account_id=chance.choice(["acme", "zeta"]),
                sender_domain=chance.choice(["a.test", "b.test"]),
                mailbox_provider=provider,
                reports_complaints=provider == "yahoo",
                mail_class=chance.choice(["marketing", "transactional"]),
                ip_pool=chance.choice(["p1", "p2", ""]),
                ip_pool_kind=chance.choice(["shared", "dedicated"]),
                campaign_id=chance.choice(["spring", ""]),
                template_id=chance.choice(["t1", ""]),
                message_id=f"m{chance.randrange(count // 4)}",
                recipient="r@example.org",
                sent_at=at
                - timedelta(milliseconds=chance.choice([0, 1, 700, 4_000, 290_000, 300_000, 300_001, 10**8])),
            )
        )
    return rows


def rate(above: float, below: float) -> float | None:
    return min(1.0, above / below) if below > 0 else None


def tally(rows: Iterable[Row]) -> Counter[str]:
    """Count events by what the views count, unique opens by message and recipient."""
    rows = list(rows)
    counts = Counter(row["outcome"] for row in rows)
    counts["send"] = sum(row["event_type"] == "send" for row in rows)
    final = ("hard_bounce", "soft_bounce")
    counts["refused"] = sum(row["outcome"] in final and row["fault"] == "sender" for row in rows)
    counts["reporting"] = sum(row["outcome"] == "delivered" and row["reports_complaints"] for row in rows)
    for name, kinds in {"human": {"human"}, "any": {"human", "machine"}}.items():
        counts[name] = len({row["message_id"] for row in rows if row["open_kind"] in kinds})
    apple = [row for row in rows if row["mailbox_provider"] == "apple"]
    counts["apple"] = sum(row["outcome"] == "delivered" for row in apple)
    counts["apple_human"] = len({row["message_id"] for row in apple if row["open_kind"] == "human"})
    return counts


def expected_domain_counts(rows: list[Row]) -> Row:
    n = tally(rows)
    return {
        **{
            f"{name}_count": n[name]
            for name in ("send", "rejected", "suppressed", "delivered", "hard_bounce")
        },
        **{
            f"{name}_count": n[name]
            for name in ("soft_bounce", "deferral", "complaint", "unsubscribe", "open")
        },
        "human_open_count": n["human"],
    }


def expected_open_rate(rows: list[Row]) -> Row:
    n = tally(rows)
    return {
        "delivered_count": n["delivered"],
        "human_open_count": n["human"],
        "open_rate": rate(n["human"], n["delivered"]),
        "raw_open_rate": rate(n["any"], n["delivered"]),
        "blind_rate": rate(max(n["apple"] - n["apple_human"], 0), n["delivered"]),
    }


def expected_campaign(rows: list[Row]) -> Row:
    n = tally(rows)
    return {
        **{f"{name}_count": n[name] for name in ("delivered", "open", "complaint", "unsubscribe")},
        "human_open_count": n["human"],
        "refusal_count": n["refused"],
        "open_rate": rate(n["human"], n["delivered"]),
        "complaint_rate": rate(n["complaint"], n["reporting"]),
        "unsubscribe_rate": rate(n["unsubscribe"], n["delivered"]),
        "refusal_rate": rate(n["refused"], n["delivered"] + n["hard_bounce"] + n["soft_bounce"]),
    }


def expected_bounce_reasons(rows: list[Row]) -> Row:
    return {"bounce_count": len(rows)}


def expected_latency(rows: list[Row]) -> Row:
    delays = [
        (row["occurred_at"] - row["sent_at"]).total_seconds() for row in rows if row["outcome"] == "delivered"
    ]
    late = sum(delay > 300 for delay in delays)
    return {"delivered_count": len(delays), "delayed_count": late, "delayed_rate": rate(late, len(delays))}


CASES = {
    "v_domain_counts": (
        ("account_id", "sender_domain", "mailbox_provider", "ip_pool", "ip_pool_kind", "mail_class"),
        expected_domain_counts,
        lambda row: True,
    ),
    "v_open_rate": (("account_id", "sender_domain", "mail_class"), expected_open_rate, lambda row: True),
    "v_campaign": (
        ("account_id", "sender_domain", "campaign_id", "template_id"),
        expected_campaign,
        lambda row: row["campaign_id"] or row["template_id"],
    ),
    "v_bounce_reasons": (
        ("account_id", "sender_domain", "mailbox_provider", "reason", "hard", "fault"),
        expected_bounce_reasons,
        lambda row: row["outcome"] in ("hard_bounce", "soft_bounce") and row["reason"],
    ),
    "v_delivery_latency": (
        ("account_id", "sender_domain", "mailbox_provider"),
        expected_latency,
        lambda row: row["outcome"] == "delivered",
    ),
}


@pytest.fixture(scope="module")
def mixed() -> tuple[Database, list[Row]]:
    db, rows = migrated_database(), random_events(7, count=3_000)
    for start in range(0, len(rows), 1_000):
        db.insert(rows[start : start + 1_000])
    return db, rows


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", CASES)
def test_counts_and_rates_are_those_of_the_events(
    mixed: tuple[Database, list[Row]], name: str, window: str
) -> None:
    db, rows = mixed
    dimensions, expected, takes_part = CASES[name]
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if takes_part(row) and is_in(window, row["occurred_at"]):
            groups[tuple(row[dimension] for dimension in dimensions)].append(row)
    found = {tuple(row[d] for d in dimensions): row for row in view(db, name, window=window)}
    assert found.keys() == groups.keys()
    for key, members in groups.items():
        for column, value in expected(members).items():
            assert found[key][column] == (value if value is None else pytest.approx(value)), (key, column)
        if "last_event_at" in found[key]:
            newest = max(row["occurred_at"] for row in members)
            newest = newest.replace(microsecond=newest.microsecond // 1000 * 1000)
            assert found[key]["last_event_at"].replace(tzinfo=UTC) == newest


def test_hours_are_those_of_the_events(mixed: tuple[Database, list[Row]]) -> None:
    db, rows = mixed
    dimensions = ("account_id", "sender_domain", "mailbox_provider", "mail_class")
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        hour = floor(row["occurred_at"], timedelta(hours=1))
        groups[(hour, *(row[dimension] for dimension in dimensions))].append(row)
    found = {
        (row["hour"].replace(tzinfo=UTC), *(row[dimension] for dimension in dimensions)): row
        for row in db.query("SELECT * FROM v_domain_hours")
    }
    assert found.keys() == groups.keys()
    for key, members in groups.items():
        n = tally(members)
        late = [
            row
            for row in members
            if row["outcome"] == "delivered" and (row["occurred_at"] - row["sent_at"]).total_seconds() > 300
        ]
        expected = {**expected_domain_counts(members), "delayed_count": len(late)}
        expected |= {"refusal_count": n["refused"], "reporting_delivered_count": n["reporting"]}
        del expected["human_open_count"]
        assert {column: found[key][column] for column in expected} == expected, key


@pytest.mark.parametrize("window", ["24h", "30d"])
def test_the_rest_of_a_shared_pool_is_everybody_else_in_it(
    mixed: tuple[Database, list[Row]], window: str
) -> None:
    db, rows = mixed
    rows = [row for row in rows if row["ip_pool"] and is_in(window, row["occurred_at"])]
    found = view(db, "v_ip_pool", window=window)
    owners = {(r["account_id"], r["sender_domain"], r["ip_pool"], r["ip_pool_kind"]) for r in rows}
    assert {(f["account_id"], f["sender_domain"], f["ip_pool"], f["ip_pool_kind"]) for f in found} == owners
    for line in found:
        pool = [
            r for r in rows if (r["ip_pool"], r["ip_pool_kind"]) == (line["ip_pool"], line["ip_pool_kind"])
        ]
        mine = (line["account_id"], line["sender_domain"])
        own = tally(r for r in pool if (r["account_id"], r["sender_domain"]) == mine)
        check_pool(line, "own", own)
        if line["ip_pool_kind"] == "shared":
            # Opens of the rest are those of the pool less our own: the same message may not open twice in both.
            rest = tally(r for r in pool if (r["account_id"], r["sender_domain"]) != mine)
            rest["human"] = tally(pool)["human"] - own["human"]
            check_pool(line, "rest", rest)
        else:
            assert [value for column, value in line.items() if column.startswith("rest_")] == [None] * 5


def check_pool(line: Row, side: str, n: Counter[str]) -> None:
    outcomes = n["delivered"] + n["hard_bounce"] + n["soft_bounce"]
    expected = {
        "delivered_count": n["delivered"],
        "hard_bounce_rate": rate(n["hard_bounce"], outcomes),
        "soft_bounce_rate": rate(n["soft_bounce"], outcomes),
        "complaint_rate": rate(n["complaint"], n["reporting"]),
        "open_rate": rate(n["human"], n["delivered"]),
    }
    for name, value in expected.items():
        assert line[f"{side}_{name}"] == (value if value is None else pytest.approx(value)), (side, name)


def test_rates_are_null_without_a_denominator_and_at_most_one(db: Database) -> None:
    db.insert([event("human", ago(minutes=9))])
    assert (one(db, "v_open_rate")["open_rate"], one(db, "v_open_rate")["blind_rate"]) == (None, None)
    db.insert([event("delivered", ago(minutes=9)), event("human", ago(minutes=9))])
    assert one(db, "v_open_rate")["open_rate"] == 1.0


def test_a_bucket_repaired_to_nothing_shows_no_row_and_one_below_zero_shows_zero(db: Database) -> None:
    db.insert([event("delivered", ago(minutes=9)), event("complaint", ago(minutes=9))])
    doubled = "SELECT * REPLACE (-2 * complaint_count AS complaint_count) FROM rollup_minute"
    db.client.command(f"INSERT INTO rollup_minute {doubled}")
    row = one(db, "v_domain_counts")
    assert (row["delivered_count"], row["complaint_count"]) == (2, 0)
    db.client.command(
        "INSERT INTO rollup_minute SELECT * REPLACE (-event_count AS event_count) FROM rollup_minute"
    )
    assert view(db, "v_domain_counts") == []


milliseconds = (
    st.integers(0, 72 * 3_600_000) | st.integers(0, 400) | st.sampled_from([1, 2, 1024, 2**20, 300_000])
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delays=st.lists(milliseconds, min_size=1, max_size=120))
def test_percentiles_are_nearest_rank_within_the_width_of_half_a_bin(
    shared: Database, delays: list[int]
) -> None:
    empty(shared)
    at = ago(minutes=9)
    shared.insert(event("delivered", at, sent_at=at - timedelta(milliseconds=delay)) for delay in delays)
    row, ordered = one(shared, "v_delivery_latency"), sorted(delays)
    for name, percent in (("p50_s", 50), ("p95_s", 95), ("p99_s", 99)):
        exact = ordered[math.ceil(len(ordered) * percent / 100) - 1]
        assert abs(row[name] * 1000 - exact) <= max(exact * BIN_ERROR * 1.000001, 1.0), (name, exact)
    assert row["delayed_count"] == sum(delay > 300_000 for delay in delays)


def test_deliveries_without_a_sending_time_take_no_part_in_delivery_times(db: Database) -> None:
    db.insert(
        [event("delivered", ago(minutes=9)), event("delivered", ago(minutes=9), sent_at=ago(minutes=10))]
    )
    assert one(db, "v_delivery_latency")["delivered_count"] == 1
    assert one(db, "v_domain_counts")["delivered_count"] == 2


@pytest.mark.parametrize(("unique", "bound"), [(1_000, 0.0), (60_000, 0.01), (1_000_000, 0.01)])
def test_unique_opens_are_within_the_stated_error(db: Database, unique: int, bound: float) -> None:
    db.client.command(
        "INSERT INTO events (topic, record_at, stored_at, event_type, event_id, occurred_at, account_id, message_id, "
        "sender_domain, recipient, outcome, open_kind) SELECT 'email.open', at, at, 'open', toString(number), "
        "toDateTime64({at:Int64} - number % 3000, 3, 'UTC') AS at, 'acme', toString(intDiv(number, 2)), 'a.test', "
        "'r', 'open', 'human' FROM numbers({rows:UInt64})",
        parameters={"at": int(AS_OF.timestamp()) - 3600, "rows": 2 * unique},
    )
    estimate = one(db, "v_domain_counts")["human_open_count"]
    assert abs(estimate - unique) <= bound * unique


def test_freshness_lists_topics_with_events_and_never_a_negative_lag(db: Database) -> None:
    now = datetime.now(UTC)
    old, ahead = now - timedelta(seconds=90), now + timedelta(hours=2)
    db.insert(
        [
            event("delivered", old, stored_at=now),
            event("delivered", old - timedelta(hours=3)),
            event("human", ahead),
        ]
    )
    rows = {row["topic"]: row for row in db.query("SELECT * FROM v_freshness")}
    assert rows.keys() == {"email.delivery", "email.open"}
    assert list(rows["email.open"]) == ["topic", "last_occurred_at", "last_stored_at", "lag_s"]
    assert 90 <= rows["email.delivery"]["lag_s"] < 150
    assert rows["email.open"]["lag_s"] == 0
    assert abs(rows["email.delivery"]["last_stored_at"].replace(tzinfo=UTC) - now) < timedelta(milliseconds=2)


@pytest.fixture(scope="module")
def large() -> Database:
    """A month of hours and minutes of 500 domains: many granules per table."""
    db = migrated_database()
    for table, minutes in (("rollup_minute", 240), ("rollup_hour", 240)):
        db.client.command(
            f"INSERT INTO {table} (cube, bucket, account_id, sender_domain, event_count, delivered_count) "
            "SELECT 'domain', "
            "toDateTime({now:Int64}, 'UTC') - toIntervalMinute(intDiv(number, 500) * {step:UInt32}), "
            "'a' || toString(number % 100), 'd' || toString(number % 500), 1, 1 FROM numbers(500 * 190)",
            parameters={"now": int(floor(AS_OF, timedelta(hours=1)).timestamp()) - 3600, "step": minutes},
        )
        db.client.command(f"OPTIMIZE TABLE {table} FINAL")
    return db


def granules(db: Database, sql: str) -> int:
    """Return how many granules a query would read."""
    lines = [row[0].strip() for row in db.client.query(f"EXPLAIN indexes = 1 {sql}").result_rows]
    total, last = 0, 0
    for line in lines:
        if line.startswith("ReadFromMergeTree"):
            total, last = total + last, 0
        if line.startswith("Granules:"):
            last = int(line.split()[1].split("/")[0])
    return total + last


@pytest.mark.parametrize("name", COLUMNS)
def test_one_window_of_one_account_reads_little(large: Database, name: str) -> None:
    everything = granules(large, "SELECT sum(event_count) FROM rollup_minute") + granules(
        large, "SELECT sum(event_count) FROM rollup_hour"
    )
    assert everything >= 20
    assert granules(large, f"SELECT * FROM {name} WHERE window = '1h'") <= 3
    assert granules(large, f"SELECT * FROM {name} WHERE window = '24h' AND account_id = 'a5'") <= 4
    month = granules(large, f"SELECT * FROM {name} WHERE window = '30d'")
    assert granules(large, f"SELECT * FROM {name} WHERE window = '30d' AND account_id = 'a5'") <= max(
        month * 0.8, 2
    )
