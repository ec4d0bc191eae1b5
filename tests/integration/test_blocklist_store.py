"""The blocklist in ClickHouse: rows written twice count once, and each view says what the rows say."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postloop.adapters import blocklist_store
from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.blocklist_store import (
    BlocklistReader,
    BlocklistWriter,
    CommandRow,
    EntryRow,
    GuardRow,
    HistoryRow,
    LogRow,
)
from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.settings import Settings
from tests.support.database import Database, event, migrated_database
from tests.support.ports import free_port

NOW = datetime.now(UTC).replace(microsecond=0)
# The end of an hour, so that all windows end with it.
AS_OF = NOW.replace(minute=0, second=0) - timedelta(hours=1)
DAY = timedelta(days=1)
ANNA = "anna@example.org"
CAUSES = ("acme", "zeta")


def log_row(change: str = "inserted", *, at: datetime, **columns: Any) -> LogRow:
    row = LogRow(
        event_id=str(uuid.uuid4()),
        change=change,
        entry_id="entry-1",
        scope="global",
        recipient=ANNA,
        recipient_form="clear",
        mailbox_provider="gmail",
        reason="user_unknown",
        cause_account_ids=CAUSES,
        source_event_ids=("b1", "b2"),
        smtp_text="550 5.1.1 no such user",
        rule="rfc3463.5.1.1",
        rule_version="2026-11",
        starts_at=at,
        inserted_at=at,
        expires_at=at + 14 * DAY,
        cause="",
        at=at,
    )
    return replace(row, **columns)


def entry_row(recipient: str = ANNA, *, version: int = 1, **columns: Any) -> EntryRow:
    row = EntryRow(
        recipient_hash=recipient_hash(recipient),
        scope="global",
        recipient=recipient,
        version=version,
        value='{"recipient": "é \\u0000 \\n"}',
        is_deleted=False,
        is_active=True,
        entry_id="entry-1",
        reason="user_unknown",
        cause_account_ids=CAUSES,
        mailbox_provider="gmail",
        recipient_form="clear",
        smtp_text="550 5.1.1 no such user",
        rule="rfc3463.5.1.1",
        rule_version="2026-11",
        source_event_ids=("b1",),
        starts_at=NOW - DAY,
        inserted_at=NOW - DAY + timedelta(milliseconds=123),
        expires_at=NOW + 13 * DAY,
        last_delivery_at=None,
    )
    return replace(row, **columns)


def command_row(**columns: Any) -> CommandRow:
    row = CommandRow(
        command_id="c1",
        command="unblock",
        scope="global",
        recipient=ANNA,
        actor_kind="operator",
        actor_id="eve",
        reason="mailbox works again",
        requested_at=NOW - timedelta(minutes=2),
        answered_at=NOW - timedelta(minutes=1),
        outcome="done",
        code="unblocked",
        text="The address is released.",
        event_ids=("x1",),
    )
    return replace(row, **columns)


@pytest.fixture(scope="module")
def shared() -> Database:
    return migrated_database()


@pytest.fixture
def db(shared: Database) -> Database:
    return emptied(shared)


def emptied(db: Database) -> Database:
    for table in ("blocklist_log", "blocklist_entries", "blocklist_commands", "events", "rollup_hour"):
        db.client.command(f"TRUNCATE TABLE {table}")
    return db


@pytest.fixture
def writer(db: Database) -> BlocklistWriter:
    return BlocklistWriter(db.client)


@pytest.fixture
def reader(db: Database) -> BlocklistReader:
    return BlocklistReader(db.client, db.settings)


def test_what_is_written_is_read_unchanged_and_a_repeat_changes_nothing(
    writer: BlocklistWriter, reader: BlocklistReader, db: Database
) -> None:
    change, entry = log_row(at=NOW - DAY, expires_at=None), entry_row()
    command = command_row(event_ids=(change.event_id,))
    for _ in range(2):
        writer.write_log([change])
        writer.write_entries([entry])
        writer.write_commands([command])
    assert reader.entry(None, ANNA) == [entry]
    (found,) = reader.history(ANNA, 10)
    assert found == HistoryRow(
        **{name: getattr(change, name) for name in change.__slots__},
        command_id="c1",
        actor_kind="operator",
        actor_id="eve",
        command_reason="mailbox works again",
    )
    (row,) = db.query("SELECT * FROM v_blocklist_commands")
    assert {**row, "event_ids": tuple(row["event_ids"])} == {
        name: value.replace(tzinfo=None) if isinstance(value := getattr(command, name), datetime) else value
        for name in command.__slots__
    }


def test_writing_nothing_does_nothing(writer: BlocklistWriter) -> None:
    writer.write_log([])
    writer.write_entries([])
    writer.write_commands([])


def test_a_change_published_again_after_a_crash_counts_once_with_its_later_clock(
    writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    first = log_row("expired", at=NOW - DAY, cause="lease_ended")
    again = replace(first, at=first.at + timedelta(seconds=40))
    writer.write_log([again])
    writer.write_log([first])
    assert [row.at for row in reader.history(ANNA, 10)] == [again.at]


@given(versions=st.permutations([1, 2, 3, 2**63 + 5]), deleted=st.sampled_from([1, 2, 3, 2**63 + 5]))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_highest_version_counts_in_any_order_of_arrival(
    shared: Database, versions: Sequence[int], deleted: int
) -> None:
    db = emptied(shared)
    for version in versions:
        row = entry_row(version=version, value=str(version), is_deleted=version == deleted)
        BlocklistWriter(db.client).write_entries([row])
    found = BlocklistReader(db.client, db.settings).entry("global", ANNA)
    highest = max(versions)
    assert [row.version for row in found] == ([] if deleted == highest else [highest])
    db.client.command("OPTIMIZE TABLE blocklist_entries FINAL")
    assert BlocklistReader(db.client, db.settings).entry("global", ANNA) == found


def test_an_entry_that_was_deleted_may_come_back_with_a_higher_version(
    writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    writer.write_entries([entry_row(version=1)])
    writer.write_entries([entry_row(version=2, value="", is_deleted=True, is_active=False)])
    assert (reader.entry(None, ANNA), reader.count_active(), list(reader.restore(0, 1))) == ([], 0, [])
    writer.write_entries([entry_row(version=3)])
    assert [row.version for row in reader.entry(None, ANNA)] == [3]


def test_all_scopes_of_an_address_are_found_or_one(writer: BlocklistWriter, reader: BlocklistReader) -> None:
    scopes = ["a.example", "b.example", "global"]
    writer.write_entries([entry_row(scope=scope) for scope in scopes] + [entry_row("bert@example.org")])
    assert [row.scope for row in reader.entry(None, ANNA)] == scopes
    assert [row.scope for row in reader.entry("b.example", ANNA)] == ["b.example"]
    assert reader.entry("c.example", ANNA) == []


def test_what_blocks_is_active_and_has_not_expired(
    writer: BlocklistWriter, reader: BlocklistReader, db: Database
) -> None:
    past, ahead = NOW - timedelta(seconds=1), NOW + timedelta(hours=1)
    writer.write_entries(
        [
            entry_row("until@x.org", expires_at=ahead),
            entry_row("for-ever@x.org", expires_at=None),
            entry_row("expired@x.org", expires_at=past),
            entry_row("released@x.org", is_active=False, expires_at=ahead),
            entry_row("nothing@x.org", is_active=False, starts_at=None, inserted_at=None, expires_at=None),
            entry_row("gone@x.org", is_deleted=True),
        ]
    )
    blocking = {"until@x.org", "for-ever@x.org"}
    assert {row.recipient for row in reader.active()} == blocking
    assert reader.count_active() == len(blocking)
    assert {row["recipient"] for row in db.query("SELECT * FROM v_blocklist_active")} == blocking
    assert {row["recipient"] for row in db.query("SELECT * FROM v_blocklist_account")} == blocking


def test_filters_narrow_what_is_listed_and_counted(writer: BlocklistWriter, reader: BlocklistReader) -> None:
    writer.write_entries(
        [
            entry_row("a@x.org", cause_account_ids=("acme",)),
            entry_row("b@x.org", scope="b.example", reason="complaint", cause_account_ids=("zeta",)),
            entry_row("c@x.org", mailbox_provider="yahoo", starts_at=NOW - 5 * DAY),
        ]
    )
    zone = NOW.astimezone(datetime.now().astimezone().tzinfo)
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "abc"),
        ({"account": "acme"}, "ac"),
        ({"account": "acme' OR 1"}, ""),
        ({"scope": "b.example"}, "b"),
        ({"reason": "complaint", "account": "acme"}, ""),
        ({"provider": "yahoo"}, "c"),
        ({"starts_from": NOW - DAY}, "ab"),
        ({"starts_to": zone - DAY}, "c"),
        ({"starts_from": NOW - 5 * DAY, "starts_to": NOW, "scope": None}, "abc"),
    ]
    for wanted, expected in cases:
        assert sorted(row.recipient[0] for row in reader.active(**wanted)) == list(expected), wanted
        assert reader.count_active(**wanted) == len(expected), wanted


def test_a_list_is_read_in_pages_and_can_be_continued(
    writer: BlocklistWriter, reader: BlocklistReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocklist_store, "PAGE_ROWS", 3)
    # Equal hashes too: then scope and recipient decide.
    rows = [entry_row(f"r{n}@x.org", recipient_hash=n // 3, scope=f"s{n % 2}") for n in range(12)]
    writer.write_entries(rows)
    everything = list(reader.active())
    assert everything == sorted(rows, key=lambda row: row.place)
    assert list(reader.active(limit=7)) == everything[:7]
    assert list(reader.active(limit=7, after=everything[4].place)) == everything[5:12]
    assert list(reader.active(limit=3, after=everything[-1].place)) == []


@given(
    hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=25),
    partitions=st.integers(1, 7),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_partitions_restore_every_entry_exactly_once(
    shared: Database, hashes: list[int], partitions: int
) -> None:
    db = emptied(shared)
    rows = [
        entry_row(f"r{n}@x.org", recipient_hash=number, scope=f"s{n % 3}", version=n + 1, value=f'"é{n}"')
        for n, number in enumerate(hashes)
    ]
    BlocklistWriter(db.client).write_entries(rows)
    BlocklistWriter(db.client).write_entries(rows[::2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocklist_store, "PAGE_ROWS", 4)
        reader = BlocklistReader(db.client, db.settings)
        for partition in range(partitions):
            expected = {
                (row.scope, row.recipient, row.version, row.value.encode())
                for row in rows
                if row.recipient_hash % partitions == partition
            }
            found = [item for page in reader.restore(partition, partitions) for item in page]
            assert len(found) == len(expected)
            assert set(found) == expected


def test_what_the_guard_keeps_is_restored_by_owner_and_holds_everywhere(
    writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    rows = [
        GuardRow(key="g|gmail", owner_hash=0, version=1, value="holds"),
        GuardRow(key="p|gmail", owner_hash=7, version=1, value="old"),
        GuardRow(key="p|gmail", owner_hash=7, version=2, value="new"),
        GuardRow(key="h|gmail|global|a@gmail.com", owner_hash=6, version=1, value="held"),
        GuardRow(key="h|gmail|global|b@gmail.com", owner_hash=7, version=3, value="", is_deleted=True),
    ]
    for row in rows:
        writer.write_guard([row])

    assert reader.restore_guard(1, 2) == [("g|gmail", b"holds"), ("p|gmail", b"new")]
    assert reader.restore_guard(0, 2) == [("g|gmail", b"holds"), ("h|gmail|global|a@gmail.com", b"held")]


def test_history_is_newest_first_and_names_who_released(
    writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    start = NOW - 10 * DAY
    writer.write_log(
        [
            log_row("expired", at=start + 2 * DAY, inserted_at=start, cause="unblocked", event_id="x1"),
            log_row(at=start, event_id="i1"),
            log_row("extended", at=start + DAY, event_id="e1", inserted_at=start, expires_at=None),
            log_row(at=start, recipient="bert@example.org"),
            log_row(at=start + 2 * DAY, event_id="i2", entry_id="entry-2", scope="global"),
        ]
    )
    writer.write_commands(
        [
            command_row(event_ids=("x1",)),
            command_row(command_id="c2", event_ids=(), outcome="refused", code="newer_cause"),
            command_row(command_id="c3", event_ids=("i1",), recipient="bert@example.org"),
        ]
    )
    rows = reader.history(ANNA, 10)
    # A block in the moment of a release follows it.
    assert [row.event_id for row in rows] == ["i2", "x1", "e1", "i1"]
    assert [row.actor_id for row in rows] == ["", "eve", "", ""]
    assert [row.event_id for row in reader.history(ANNA, 2)] == ["i2", "x1"]


def hits(db: Database, *, window: str = "24h", **columns: Any) -> dict[str, int]:
    rows = BlocklistReader(db.client, db.settings).hits(window, as_of=AS_OF, **columns)
    return {row.reason: row.hit_count for row in rows}


def stopped(at: datetime, **columns: Any) -> dict[str, Any]:
    return event(
        "suppressed", at, **{"recipient": ANNA, "sender_domain": "a.example", "account_id": "acme", **columns}
    )


HIT = AS_OF - timedelta(hours=3)
BEFORE, AFTER = HIT - timedelta(hours=1), HIT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        pytest.param([], "unknown", id="nothing is known"),
        pytest.param([log_row(at=BEFORE)], "user_unknown", id="a global entry"),
        pytest.param([log_row(at=BEFORE, expires_at=None)], "user_unknown", id="an entry without an end"),
        pytest.param([log_row(at=BEFORE, recipient="bert@x.org")], "unknown", id="another address"),
        pytest.param([log_row(at=BEFORE, scope="a.example")], "user_unknown", id="the domain's own entry"),
        pytest.param([log_row(at=BEFORE, scope="b.example")], "unknown", id="another domain's entry"),
        pytest.param([log_row(at=AFTER)], "unknown", id="an entry from later"),
        pytest.param([log_row(at=AFTER, starts_at=BEFORE)], "user_unknown", id="published later, for a cause before"),
        pytest.param([log_row(at=BEFORE, expires_at=HIT)], "unknown", id="past its end, to the millisecond"),
        pytest.param(
            [log_row(at=BEFORE), log_row("expired", at=HIT, cause="unblocked")], "unknown", id="released just then"
        ),
        pytest.param(
            [log_row(at=BEFORE), log_row("expired", at=AFTER, cause="unblocked")], "user_unknown", id="released later"
        ),
        pytest.param(
            [
                log_row(at=BEFORE - 2 * DAY, expires_at=BEFORE),
                log_row("extended", at=BEFORE - DAY, expires_at=AFTER, reason="mailbox_full"),
            ],
            "mailbox_full",
            id="only its extension reaches that far",
        ),
        pytest.param(
            [
                log_row(at=BEFORE - DAY, reason="mailbox_full"),
                log_row("expired", at=HIT - timedelta(seconds=9), cause="lease_ended"),
                log_row(at=HIT - timedelta(seconds=8), starts_at=HIT - timedelta(seconds=20), entry_id="entry-2"),
            ],
            "user_unknown",
            id="the next entry, whose cause is from before the end of the last",
        ),
        pytest.param(
            [log_row(at=BEFORE), log_row(at=BEFORE - DAY, scope="a.example", reason="complaint", expires_at=None)],
            "complaint",
            id="the domain's own entry before a global one",
        ),
        pytest.param(
            [
                log_row(at=BEFORE),
                log_row(at=BEFORE - DAY, scope="a.example", reason="complaint"),
                log_row("expired", at=BEFORE, scope="a.example", reason="complaint", cause="opt_in"),
            ],
            "user_unknown",
            id="the global entry after the domain's own ended",
        ),
        pytest.param([log_row(at=BEFORE, event_id="i1")] * 3, "user_unknown", id="written three times"),
    ],
)  # fmt: skip
def test_a_hit_is_counted_for_the_entry_that_was_in_force(
    db: Database, writer: BlocklistWriter, log: list[LogRow], reason: str
) -> None:
    writer.write_log(log)
    db.insert([stopped(HIT)])
    assert hits(db) == {reason: 1}


def test_hits_are_counted_by_account_domain_and_reason_in_every_window(
    db: Database, writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    start = AS_OF - 40 * DAY
    writer.write_log(
        [
            log_row(at=start, expires_at=None),
            log_row(at=start, recipient="bert@x.org", reason="complaint", scope="a.example", expires_at=None),
        ]
    )
    ages = [timedelta(minutes=30), timedelta(hours=5), 3 * DAY, 20 * DAY, 35 * DAY]
    db.insert(
        [stopped(AS_OF - age, recipient=who) for age in ages for who in (ANNA, ANNA, "bert@x.org")]
        + [stopped(AS_OF - ages[0], account_id="zeta", sender_domain="z.example", recipient="bert@x.org")]
        + [event(kind, AS_OF - ages[0], recipient=ANNA) for kind in ("accepted", "rejected", "delivered")]
    )
    for number, window in enumerate(("1h", "24h", "7d", "30d"), start=1):
        found = {
            (row.account_id, row.sender_domain, row.reason): (row.hit_count, row.recipient_count, row.last_hit_at)
            for row in reader.hits(window, as_of=AS_OF)
        }  # fmt: skip
        last = AS_OF - ages[0]
        assert found == {
            ("acme", "a.example", "user_unknown"): (2 * number, 1, last),
            ("acme", "a.example", "complaint"): (number, 1, last),
            ("zeta", "z.example", "unknown"): (1, 1, last),
        }, window
    assert hits(db, account="zeta") == {"unknown": 1}
    assert hits(db, sender_domain="a.example") == {"user_unknown": 4, "complaint": 2}
    assert hits(db, account="acme' OR '1") == {}


def test_a_hit_that_was_stored_twice_counts_once(db: Database) -> None:
    db.insert([stopped(HIT, event_id="s1"), stopped(HIT, event_id="s1"), stopped(HIT, event_id="s2")])
    assert hits(db) == {"unknown": 2}


def test_hits_now_are_those_at_this_instant(
    db: Database, writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    writer.write_log([log_row(at=NOW - DAY)])
    db.insert([stopped(NOW - timedelta(hours=2)), stopped(NOW - 2 * DAY)])
    before = reader.hits("24h", as_of=datetime.now(UTC))
    assert reader.hits("24h") in (before, reader.hits("24h", as_of=datetime.now(UTC)))
    assert [(row.reason, row.hit_count) for row in before] == [("user_unknown", 1)]


def test_a_window_that_does_not_exist_is_a_fault(reader: BlocklistReader) -> None:
    with pytest.raises(ValueError, match="no window"):
        reader.hits("1h' OR '1")


def test_columns_of_hits_are_those_of_a_windowed_view(db: Database) -> None:
    text = "LowCardinality(String)"
    for form in ("v_blocklist_hits", "v_blocklist_hits_at(as_of = '2026-01-02 00:00:00')"):
        rows = db.client.query(f"DESCRIBE (SELECT * FROM {form})").result_rows
        assert [row[:2] for row in rows] == [
            ("window", "String"),
            ("account_id", text),
            ("sender_domain", text),
            ("reason", "String"),
            ("hit_count", "UInt64"),
            ("recipient_count", "UInt64"),
            ("last_hit_at", "DateTime64(3, 'UTC')"),
        ]


def test_one_window_of_hits_reads_no_events_of_the_others(db: Database) -> None:
    def rows_read(window: str) -> int:
        query = f"SELECT * FROM v_blocklist_hits WHERE window = '{window}'"
        return int(json.loads(db.client.raw_query(query, fmt="JSON"))["statistics"]["rows_read"])

    db.insert([stopped(NOW - timedelta(minutes=5), recipient="bert@x.org")])
    db.insert([stopped(NOW - 20 * DAY) for _ in range(2_000)])
    BlocklistWriter(db.client).write_log([log_row(at=NOW - 21 * DAY)])
    assert rows_read("1h") < 100
    assert rows_read("30d") >= 4_000


def test_a_reader_bound_to_one_account_learns_of_no_other(db: Database, writer: BlocklistWriter) -> None:
    """As docs/clickhouse.md binds one: a view of its own over each view for accounts."""
    writer.write_log([log_row(at=NOW - DAY)])
    writer.write_entries(
        [
            entry_row("both@x.org", cause_account_ids=("acme", "zeta")),
            entry_row("mine@x.org", cause_account_ids=("acme",)),
            entry_row("theirs@x.org", cause_account_ids=("zeta",)),
            entry_row("by-hand@x.org", cause_account_ids=()),
        ]
    )
    db.insert([stopped(NOW - timedelta(hours=2)), stopped(NOW - timedelta(hours=2), account_id="zeta")])
    seen: list[dict[str, Any]] = []
    for name in ("v_blocklist_account", "v_blocklist_hits"):
        db.client.command(
            f"CREATE OR REPLACE VIEW acme_rows DEFINER = CURRENT_USER SQL SECURITY DEFINER "
            f"AS SELECT * FROM {name} WHERE account_id = 'acme'"
        )
        seen += db.query("SELECT * FROM acme_rows")
    shared = {row["recipient"]: row["blocked_by_others"] for row in seen if "recipient" in row}
    assert shared == {"both@x.org": True, "mine@x.org": False}
    assert "zeta" not in str(seen)
    assert not any({"smtp_text", "source_event_ids", "cause_account_ids"} & row.keys() for row in seen)


def test_a_domain_is_owned_by_who_has_any_event_from_it(db: Database, reader: BlocklistReader) -> None:
    db.insert([event("deferral", NOW - 20 * DAY, account_id="acme", sender_domain="a.example")])
    pairs: Iterable[tuple[str, str]] = [("acme", "a.example"), ("acme", "b.example"), ("zeta", "a.example")]
    assert [reader.owns_domain(*pair) for pair in pairs] == [True, False, False]
    assert reader.owned("acme", ["a.example", "b.example"]) == {"a.example"}
    assert reader.owned("acme", []) == frozenset()


def test_an_account_sees_what_others_blocked_for_a_domain_that_it_sends_from(
    db: Database, writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    db.insert([event("delivered", NOW - DAY, account_id="acme", sender_domain="a.example")])
    by_zeta: dict[str, Any] = {"reason": "complaint", "cause_account_ids": ("zeta",), "expires_at": None}
    writer.write_entries(
        [
            entry_row(scope="a.example", **by_zeta),
            entry_row(scope="b.example", **by_zeta),
            entry_row(scope="c.example", **{**by_zeta, "cause_account_ids": ("acme",)}),
        ]
    )
    seen = {entry["scope"]: entry for entry in reader.seen_by("acme", ANNA)}
    assert seen.keys() == {"a.example", "c.example"}
    assert (seen["a.example"]["reason"], seen["a.example"]["blocked_by_others"]) == ("", True)
    assert (seen["c.example"]["reason"], seen["c.example"]["blocked_by_others"]) == ("complaint", False)
    assert len(reader.seen_by("", ANNA)) == 3, "the platform sees all"


def test_changes_of_one_millisecond_come_the_newest_first_too(
    db: Database, writer: BlocklistWriter, reader: BlocklistReader
) -> None:
    """By their event ids they would come in either order."""
    longer = NOW + 20 * DAY
    for event_ids in (("a", "b", "c", "d"), ("d", "c", "b", "a")):
        emptied(db)
        changes = (("inserted", NOW), ("extended", NOW + DAY), ("extended", longer), ("expired", longer))
        writer.write_log(
            [
                log_row(change, at=NOW, event_id=event_id, expires_at=expires_at)
                for event_id, (change, expires_at) in zip(event_ids, changes, strict=True)
            ]
        )
        found = [(row.change, row.expires_at) for row in reader.history(ANNA, 10)]
        assert found == list(reversed(changes))


def test_a_database_that_is_away_and_one_that_refuses_are_told_apart() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    lost = BlocklistReader(_Unreachable(), Settings(clickhouse_url=url))  # type: ignore[arg-type]
    with pytest.raises(UnavailableError, match=url):
        lost.count_active()
    fresh = migrated_database()
    fresh.client.command("DROP TABLE blocklist_log")
    with pytest.raises(RefusedError, match="insert into blocklist_log"):
        BlocklistWriter(fresh.client).write_log([log_row(at=NOW)])


class _Unreachable:
    """A client whose server is gone."""

    def query(self, *_: Any, **__: Any) -> Any:
        raise ConnectionRefusedError("Connection refused")
