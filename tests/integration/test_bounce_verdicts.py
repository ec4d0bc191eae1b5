"""Why mail bounced, from the recorder's insert and from `postloop reclassify` to the views; on the real engine."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from postloop.adapters import migrations
from postloop.adapters import reclassify as module
from postloop.adapters.reclassify import Reclassified, Scope, reclassify
from postloop.adapters.rollup_repair import RECLASSIFIED, queue_hours, repair_hours, work_queue
from postloop.adapters.run_store import ClickHouseRunStore
from postloop.cli.main import app
from postloop.domain.bounce import RULES_VERSION, Bounce, classify
from tests.support.database import Database, Snapshot, bare_database, migrated_database, recently, server_url
from tests.support.verdicts import (
    REJECTIONS,
    bounces,
    old_database,
    rejections,
    store,
    table_of,
    without_verdicts,
)

AT = recently()
AS_OF = AT + timedelta(hours=4)
EVENTS = bounces(AT, count=210)
SENDS = rejections(AT)
VIEWS = ("v_bounce_reasons", "v_campaign", "v_domain_counts", "v_ip_pool", "v_open_rate")
ALL = Scope()


def shown(db: Database, name: str) -> list[dict[str, Any]]:
    return db.query(f"SELECT * FROM {name}_at(as_of = '{AS_OF:%Y-%m-%d %H:%M:%S}') ORDER BY ALL")


def everything(db: Database) -> dict[str, list[dict[str, Any]]]:
    """Return what the views show, and the stored verdicts."""
    rows = db.query(
        "SELECT event_id, outcome, reason, hard, fault, rule, confidence, rules_version, cause FROM events ORDER BY ALL"
    )
    return {name: shown(db, name) for name in VIEWS} | {"events": rows}


def differing(db: Database) -> int:
    """Return the number of rollup rows that are not as the raw events say."""
    hours = [AT + timedelta(hours=n) for n in (-1, 0, 1)]
    return repair_hours(db.client, hours, dry_run=True).difference_count


@pytest.fixture(scope="module")
def fresh() -> Database:
    """All events, stored by today's recorder."""
    db = migrated_database()
    store(db, table_of("bounce", EVENTS, at=AT), at=AT)
    store(db, table_of("send", SENDS, at=AT), at=AT)
    return db


@pytest.fixture(scope="module")
def snapshot() -> tuple[Database, Snapshot]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        db = old_database(monkeypatch, bare_database)
    store(db, without_verdicts(table_of("bounce", EVENTS, at=AT)), at=AT)
    store(db, without_verdicts(table_of("send", SENDS, at=AT)), at=AT)
    assert migrations.apply(db.client, db.settings).migrations[0] == "0003_bounce_verdicts"
    return db, Snapshot(db)


@pytest.fixture
def upgraded(snapshot: tuple[Database, Snapshot]) -> Database:
    """The same events, stored before the release with verdicts; then migrated."""
    db, saved = snapshot
    saved.restore()
    return db


@pytest.mark.parametrize("window", ["24h", "7d", "30d"])
def test_reasons_are_counted_as_the_classifier_says(fresh: Database, window: str) -> None:
    expected: Counter[tuple[Any, ...]] = Counter()
    for event in EVENTS:
        if event.get("action") != "delayed":
            domain = event["recipient"].partition("@")[2]
            said = {
                name: event.get(name) for name in ("smtp_code", "enhanced_code", "diagnostic", "smtp_command")
            }
            verdict = classify(Bounce(**said, recipient_domain=domain, action="failed"))
            provider = {"gmail.com": "gmail", "yahoo.com": "yahoo", "shop.example": "corporate"}[domain]
            expected[
                event["account_id"],
                event["sender_domain"],
                provider,
                verdict.reason,
                verdict.hard,
                verdict.fault,
            ] += 1
    totals: Counter[tuple[str, str]] = Counter()
    for (account, sender, *_), count in expected.items():
        totals[account, sender] += count
    found = {
        tuple(row.values())[1:7]: (row["bounce_count"], row["share_rate"])
        for row in shown(fresh, "v_bounce_reasons")
        if row["window"] == window
    }
    assert found == {
        key: (count, pytest.approx(count / totals[key[0], key[1]])) for key, count in expected.items()
    }
    assert {key[3] for key in found} >= {"user_unknown", "spam_content", "mailbox_full", "unknown"}


def test_refusals_of_a_campaign_are_final_bounces_for_which_the_sender_is_at_fault(fresh: Database) -> None:
    counts: Counter[str] = Counter()
    for row in fresh.query("SELECT campaign_id, outcome, fault FROM events"):
        if row["campaign_id"]:
            final = row["outcome"] in ("hard_bounce", "soft_bounce")
            counts["final"] += final
            counts["refused"] += final and row["fault"] == "sender"
    rows = [row for row in shown(fresh, "v_campaign") if row["window"] == "24h"]
    assert sum(row["refusal_count"] for row in rows) == counts["refused"] > 0
    one = rows[0]
    assert one["refusal_rate"] == pytest.approx(
        fresh.one(
            "SELECT countIf(fault = 'sender') / count() FROM events WHERE campaign_id = 'spring' AND account_id = "
            "{account:String} AND sender_domain = {domain:String} AND outcome IN ('hard_bounce', 'soft_bounce')",
            account=one["account_id"],
            domain=one["sender_domain"],
        )
    )


def test_each_cause_that_support_checks_is_stored_with_a_rejected_send(fresh: Database) -> None:
    rows = fresh.query(
        "SELECT error_code, outcome, cause FROM events WHERE event_type = 'send' ORDER BY event_id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("", "accepted", ""),
        ("blocklisted", "suppressed", ""),
        *((code, "rejected", cause) for code, _, cause in REJECTIONS),
    ]


def test_a_deferral_has_a_verdict_and_is_no_bounce(fresh: Database) -> None:
    rows = fresh.query(
        "SELECT DISTINCT reason, hard, rules_version FROM events WHERE outcome = 'deferral' ORDER BY reason"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("greylisted", False, RULES_VERSION),
        ("rate_limited", False, RULES_VERSION),
    ]
    assert "greylisted" not in {row["reason"] for row in shown(fresh, "v_bounce_reasons")}


def test_rollups_fed_by_inserts_differ_in_nothing(fresh: Database) -> None:
    assert differing(fresh) == 0


def test_an_upgraded_database_shows_no_reasons_until_it_is_reclassified_and_then_what_a_new_one_shows(
    upgraded: Database, fresh: Database
) -> None:
    assert shown(upgraded, "v_bounce_reasons") == []
    found = reclassify(upgraded.client, ALL, chunk_rows=50)
    assert found.judged_count == len(EVENTS) + len(REJECTIONS)
    assert found.changed_count == found.judged_count
    assert found.changes["send", "", "sender_domain"] == 1
    assert everything(upgraded) == everything(fresh)
    assert differing(upgraded) == 0


def test_a_second_run_changes_nothing(upgraded: Database) -> None:
    reclassify(upgraded.client, ALL)
    before = everything(upgraded)
    assert reclassify(upgraded.client, ALL) == Reclassified()
    again = reclassify(upgraded.client, Scope(AT - timedelta(days=1), AT + timedelta(days=1)))
    assert (again.judged_count, again.changed_count, again.restamped_count) == (215, 0, 0)
    assert everything(upgraded) == before
    assert upgraded.one("SELECT count() FROM verdict_changes") == 0


def test_a_dry_run_counts_and_changes_nothing(upgraded: Database) -> None:
    before = everything(upgraded)
    dry = reclassify(upgraded.client, ALL, dry_run=True)
    assert everything(upgraded) == before
    assert reclassify(upgraded.client, ALL).changes == dry.changes


def test_rows_of_both_releases_side_by_side_are_counted_once_each(
    monkeypatch: pytest.MonkeyPatch, fresh: Database
) -> None:
    db = old_database(monkeypatch, bare_database)
    tables = [table_of("bounce", EVENTS[n::3], at=AT, partition=n) for n in range(3)]
    store(db, without_verdicts(tables[0]), at=AT)
    migrations.apply(db.client, db.settings)
    store(db, tables[1], at=AT)
    store(db, without_verdicts(tables[2]), at=AT)  # a recorder that was not started again
    store(db, table_of("send", SENDS, at=AT), at=AT)
    assert reclassify(db.client, ALL).judged_count == len(EVENTS[0::3]) + len(EVENTS[2::3])
    assert everything(db) == everything(fresh)
    assert differing(db) == 0


def test_only_what_occurred_in_the_range_is_judged(upgraded: Database) -> None:
    scope = Scope(AT - timedelta(minutes=5), AT + timedelta(minutes=5))
    inside = [e for e in EVENTS if abs(e["occurred_at"] - AT) <= timedelta(minutes=5)]
    found = reclassify(upgraded.client, scope)
    assert 0 < found.judged_count - len(REJECTIONS) <= len(inside) < len(EVENTS)
    stamped = upgraded.one("SELECT count() FROM events WHERE rules_version != ''")
    assert stamped == found.judged_count - len(REJECTIONS)
    assert differing(upgraded) == 0


def test_verdicts_of_other_rules_are_replaced_and_their_change_is_told(fresh: Database) -> None:
    db = migrated_database()
    store(db, table_of("bounce", EVENTS, at=AT), at=AT)
    store(db, table_of("send", SENDS, at=AT), at=AT)
    db.client.command(
        "ALTER TABLE events UPDATE reason = if(reason = 'mailbox_full', 'policy', reason), "
        "fault = if(reason = 'mailbox_full', 'sender', fault), rules_version = 'older' "
        "WHERE event_type = 'bounce' SETTINGS mutations_sync = 2"
    )
    repair_hours(db.client, [AT, AT + timedelta(hours=1), AT - timedelta(hours=1)])
    assert "mailbox_full" not in {row["reason"] for row in shown(db, "v_bounce_reasons")}
    found = reclassify(db.client, ALL)
    assert found.changes == {("bounce", "policy", "mailbox_full"): 30}
    assert found.restamped_count == len(EVENTS) - 30
    assert everything(db) == everything(fresh)


def test_a_change_of_the_version_alone_compares_no_hour(upgraded: Database) -> None:
    reclassify(upgraded.client, ALL)
    upgraded.client.command(
        "ALTER TABLE events UPDATE rules_version = 'older' WHERE event_type = 'bounce' SETTINGS mutations_sync = 2"
    )
    found = reclassify(upgraded.client, ALL)
    assert (found.changed_count, found.restamped_count, found.repairs.hours) == (0, len(EVENTS), [])
    assert upgraded.one("SELECT uniqExact(rules_version) FROM events WHERE event_type = 'bounce'") == 1


class KilledError(Exception):
    """Stands for a kill of the process."""


@pytest.mark.parametrize("step", ["write_day", "_mutate", "_drop_lookup", "settle", "_repair"])
def test_a_run_that_was_killed_is_finished_by_the_next(
    upgraded: Database, fresh: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real, calls = getattr(module._Run, step), Counter[str]()
    # Before a run has noted anything, these are called once to look for what another left.
    at_start = {"_drop_lookup": 1, "settle": 1, "_repair": 1}.get(step, 0)

    def killed(self: Any, *arguments: Any) -> Any:
        calls[step] += 1
        if calls[step] > at_start:
            if step == "_mutate":  # as a mutation that goes on in the server after its client died
                real(self, *arguments)
            raise KilledError
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module._Run, step, killed)
        with pytest.raises(KilledError):
            reclassify(upgraded.client, ALL)
    assert upgraded.one("SELECT count() FROM verdict_changes") == len(EVENTS) + len(REJECTIONS)
    reclassify(upgraded.client, ALL)
    assert everything(upgraded) == everything(fresh)
    assert differing(upgraded) == 0
    assert upgraded.one("SELECT count() FROM verdict_changes") == 0


def test_a_day_with_many_changes_is_written_in_several_mutations(
    upgraded: Database, fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_PER_MUTATION", 60)
    where = "database = currentDatabase() AND position(command, 'joinGet') > 0"
    count = f"SELECT count() FROM system.mutations WHERE {where}"
    before = upgraded.one(count)
    reclassify(upgraded.client, ALL)
    assert upgraded.one(count) == before + 4
    assert everything(upgraded) == everything(fresh)


def test_an_hour_that_was_reclassified_is_compared_although_its_events_are_as_many(
    upgraded: Database,
) -> None:
    upgraded.client.command(
        "ALTER TABLE events UPDATE outcome = 'soft_bounce' WHERE outcome = 'hard_bounce' SETTINGS mutations_sync = 2"
    )
    queue_hours(upgraded.client, [AT], "healed")
    assert work_queue(upgraded.client).difference_count == 0
    queue_hours(upgraded.client, [AT], RECLASSIFIED)
    assert work_queue(upgraded.client).difference_count > 0


@pytest.mark.parametrize("missed", [None, "rollup_minute", "rollup_hour"])
def test_a_run_stored_before_the_migration_is_healed_after_it(
    monkeypatch: pytest.MonkeyPatch, missed: str | None
) -> None:
    db = old_database(monkeypatch, bare_database)
    if missed:
        db.client.command(f"DETACH TABLE {missed}_feed")
    run_id = store(db, without_verdicts(table_of("bounce", EVENTS, at=AT)), at=AT)
    if missed:
        db.client.command(f"ATTACH TABLE {missed}_feed")
    migrations.apply(db.client, db.settings)
    for _ in range(2):
        assert ClickHouseRunStore(db.client).heal(run_id, reason="test") == len(EVENTS)
    # The changed feed does not know the run's token again and counts it twice; healing has noted the hours.
    work_queue(db.client)
    for rollup in ("rollup_minute", "rollup_hour"):
        assert db.one(f"SELECT sum(event_count) FROM {rollup} WHERE cube = 'domain'") == len(EVENTS)
    reclassify(db.client, ALL)
    assert ClickHouseRunStore(db.client).heal(run_id, reason="test") == len(EVENTS)
    assert differing(db) == 0


def test_recorders_of_the_release_before_lose_nothing_while_the_feeds_are_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = old_database(monkeypatch, bare_database)
    stop, stored = threading.Event(), Counter[str]()

    def record() -> None:
        mine = Database(db.name, db.connect(), db.settings)
        while not stop.is_set():
            table = table_of("bounce", EVENTS[:7], at=AT, partition=stored["runs"])
            store(mine, without_verdicts(table), at=AT)
            stored["runs"] += 1

    thread = threading.Thread(target=record)
    thread.start()
    try:
        migrations.apply(db.client, db.settings)
    finally:
        before = stored["runs"]
        stop.set()
        thread.join()
    assert before > 3
    for rollup in ("rollup_minute", "rollup_hour"):
        assert db.one(f"SELECT sum(event_count) FROM {rollup} WHERE cube = 'domain'") == 7 * stored["runs"]


def test_events_stored_meanwhile_are_neither_lost_nor_judged_twice(upgraded: Database) -> None:
    stop, stored = threading.Event(), Counter[str]()

    def record() -> None:
        mine = Database(upgraded.name, upgraded.connect(), upgraded.settings)
        while not stop.wait(0.1):
            events = [{**e, "event_id": f"{e['event_id']}-{stored['runs']}"} for e in EVENTS[:7]]
            store(mine, table_of("bounce", events, at=AT, partition=1 + stored["runs"]), at=AT)
            stored["runs"] += 1

    thread = threading.Thread(target=record)
    thread.start()
    try:
        found = reclassify(upgraded.client, ALL)
    finally:
        stop.set()
        thread.join()
    assert found.judged_count == len(EVENTS) + len(REJECTIONS)
    while work_queue(upgraded.client).busy_hours:
        pass
    assert differing(upgraded) == 0
    assert (
        upgraded.one("SELECT count() FROM events WHERE event_type = 'bounce'")
        == len(EVENTS) + 7 * stored["runs"]
    )


@pytest.mark.parametrize("rollup", ["rollup_minute", "rollup_hour"])
@pytest.mark.parametrize("damage", ["lost", "doubled"])
def test_counts_by_reason_that_are_lost_or_doubled_are_put_right(
    fresh: Database, rollup: str, damage: str
) -> None:
    before = everything(fresh)
    if damage == "lost":
        fresh.client.command(
            f"ALTER TABLE {rollup} DELETE WHERE cube = 'bounce' AND reason = 'spam_content' SETTINGS mutations_sync = 2"
        )
    else:
        fresh.client.command(
            f"INSERT INTO {rollup} SELECT * FROM {rollup} WHERE cube = 'bounce' SETTINGS insert_deduplicate = 0"
        )
    hours = [AT + timedelta(hours=n) for n in (-1, 0, 1)]
    report = repair_hours(fresh.client, hours)
    assert {found.cube for found in report.differences} == {"bounce"}
    assert everything(fresh) == before
    assert differing(fresh) == 0


def test_a_refusal_counted_wrong_is_put_right(fresh: Database) -> None:
    fresh.client.command(
        "INSERT INTO rollup_hour (cube, bucket, account_id, refusal_count) "
        f"VALUES ('domain', '{AT:%Y-%m-%d %H}:00:00', 'a0', 3)"
    )
    report = repair_hours(fresh.client, [AT])
    assert [found.counters for found in report.differences] == [{"refusal_count": -3}]
    assert differing(fresh) == 0


@pytest.fixture
def command(upgraded: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("POSTLOOP_CLICKHOUSE_URL", server_url())
    monkeypatch.setenv("POSTLOOP_CLICKHOUSE_DATABASE", upgraded.name)
    return lambda *arguments: CliRunner().invoke(app, ["reclassify", *arguments])


def test_the_command_tells_what_changes_changes_it_and_then_finds_nothing(
    command: Callable[..., Any],
) -> None:
    dry = command("--dry-run", "--json")
    assert dry.exit_code == 1
    told = json.loads(dry.stdout)
    assert told["rules_version"] == RULES_VERSION
    assert {"event_type": "bounce", "from": "", "to": "user_unknown", "event_count": 30} in told["changes"]
    done = command()
    assert done.exit_code == 0
    assert "user_unknown" in done.stdout and "215 verdicts changed" in done.stderr
    again = json.loads(command("--json").stdout)
    assert (again["judged_count"], again["changes"], again["compared_hour_count"]) == (0, [], 0)
    assert command("--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "2026-01-02 00:00:00"), "--from must be a time with a zone"),
        (("--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"), "must lie before --to"),
    ],
    ids=["no zone", "backwards"],
)
def test_a_wrong_range_is_wrong_usage(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(app, ["reclassify", *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_database_of_the_release_before_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = old_database(monkeypatch, bare_database)
    monkeypatch.setenv("POSTLOOP_CLICKHOUSE_URL", server_url())
    monkeypatch.setenv("POSTLOOP_CLICKHOUSE_DATABASE", db.name)
    result = CliRunner().invoke(app, ["reclassify"])
    assert result.exit_code == 4
    assert "0003_bounce_verdicts is not applied: run `postloop migrate`" in result.stderr
