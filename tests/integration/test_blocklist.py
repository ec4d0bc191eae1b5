"""The blocklist role from event to event: real broker, real database, real processes."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postloop.adapters.blocklist_store import BlocklistReader
from tests.support.blocklist import FULL, HARD, SPAM, BlocklistStack, address, event
from tests.support.brokers import Broker
from tests.support.database import event as row
from tests.support.stack import rounds, seeded

DAY = timedelta(days=1)
LEASE = 14 * DAY


@pytest.fixture(scope="module")
def running(carrier: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlocklistStack]:
    """One worker for the tests that only talk to it."""
    with BlocklistStack(carrier, directory=tmp_path_factory.mktemp("blocklist")) as stack:
        stack.start()
        yield stack


@pytest.fixture
def stack(broker: Broker, tmp_path: Path) -> Iterator[BlocklistStack]:
    """Workers of its own for a test that stops or kills them."""
    with BlocklistStack(broker, directory=tmp_path) as own:
        yield own


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


# -- from event to event ---------------------------------------------------------------------------------------


def test_a_hard_bounce_becomes_an_insert_a_state_and_rows(running: BlocklistStack) -> None:
    recipient = address()
    bounce = event(recipient.upper(), **HARD)
    running.publish("bounce", [bounce])

    (insert,) = running.wait_events("blocklist.insert", 1, recipient)
    assert insert["change"] == "inserted"
    assert (insert["scope"], insert["reason"]) == ("global", "user_unknown")
    assert insert["cause_account_ids"] == ["acme"]
    assert insert["evidence"]["source_event_ids"] == [bounce["event_id"]]
    assert insert["evidence"]["smtp_text"] == HARD["diagnostic"]
    assert insert["evidence"]["rule"] and insert["evidence"]["rule_version"]
    assert at(insert["expires_at"]) - at(insert["starts_at"]) == LEASE
    assert running.state()[f"global|{recipient}"] == insert
    (active,) = running.wait_rows(f"SELECT * FROM v_blocklist_active WHERE recipient = '{recipient}'", 1)
    assert active["entry_id"] == insert["entry_id"]
    (history,) = running.wait_rows(f"SELECT * FROM v_blocklist_history WHERE recipient = '{recipient}'", 1)
    assert (history["event_id"], history["change"]) == (insert["event_id"], "inserted")


FOREIGN: list[bytes | None] = [b"null", b"[]", b"5", b"NaN", b"{", b"[" * 50_000, b"\xff", b"", None]


def test_foreign_records_are_dead_letters_in_the_database_and_stop_nothing_at_the_next_start_either(
    stack: BlocklistStack, broker: Broker
) -> None:
    worker, recipient = stack.start(), address()
    topics = ["blocklist.insert", "blocklist.expire", "delivery.alert", "blocklist.command"]
    sent = dict.fromkeys(topics, FOREIGN)
    sent["postloop.blocklist.signal"] = [value for value in FOREIGN if value != b"[]"]  # no signals are none
    sent["postloop.blocklist.changelog"] = FOREIGN[:-1]  # there null is how a key ends
    for topic, values in sent.items():
        for value in values:
            stack.send(topic, value, key=f"e|global|{recipient}")
    too_large = {"type": "delivered", "recipient": recipient, "event_id": "e", "at_ms": 10**30}
    stack.send("postloop.blocklist.signal", json.dumps([too_large]).encode(), key="k")
    wanted = Counter({topic: len(values) for topic, values in sent.items()})
    wanted["postloop.blocklist.signal"] += 1
    entry = b'{"scope":"global","recipient":"a@b.test"}'
    if broker.takes_any_time:
        stack.send("postloop.blocklist.changelog", entry, key="e|global|a@b.test", timestamp_ms=10**17)
        wanted["postloop.blocklist.changelog"] += 1
    stack.publish("bounce", [event(recipient, **HARD)])

    stack.wait_rows(f"SELECT * FROM v_blocklist_active WHERE recipient = '{recipient}'", 1)
    count = wanted.total()
    letters = stack.wait_rows("SELECT * FROM dead_letters FINAL", count, timeout_s=60)
    assert len({letter["event_id"] for letter in letters}) == count
    assert Counter(letter["topic"].removeprefix(stack.prefix) for letter in letters) == wanted
    assert all(letter["topic_id"] for letter in letters)
    listed = stack.command("deadletter", "list", "--json", "--topic", f"{stack.prefix}delivery.alert")
    assert len(listed.stdout.splitlines()) == len(FOREIGN)

    worker.kill()
    stack.start()
    other = address()
    stack.publish("bounce", [event(other, **HARD)])
    stack.wait_rows(f"SELECT * FROM v_blocklist_active WHERE recipient = '{other}'", 1)
    assert len(stack.wait_rows("SELECT * FROM dead_letters FINAL", count)) == count


def test_a_rollback_that_is_refused_says_so_and_ends_with_4(running: BlocklistStack) -> None:
    recipient = address()
    running.publish("bounce", [event(recipient, **HARD)])
    (active,) = running.wait_rows(f"SELECT * FROM v_blocklist_active WHERE recipient = '{recipient}'", 1)
    began = ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]
    chosen = ["--provider", active["mailbox_provider"], "--reason", "user_unknown", *began]
    done = running.command("blocklist", "rollback", *chosen, "--actor", "account:acme")
    assert done.returncode == 4, done.stderr
    assert "refused" in done.stderr


def test_a_complaint_and_an_unsubscribe_block_for_their_sender_domain(running: BlocklistStack) -> None:
    complained, left = address(), address()
    running.publish(
        "complaint", [event(complained, feedback_type="abuse"), event(address(), feedback_type="not-spam")]
    )
    running.publish("unsubscribe", [event(left, method="one_click")])

    (complaint,) = running.wait_events("blocklist.insert", 1, complained)
    (unsubscribe,) = running.wait_events("blocklist.insert", 1, left)
    for insert, reason in ((complaint, "complaint"), (unsubscribe, "unsubscribe")):
        assert (insert["scope"], insert["reason"], insert["expires_at"]) == ("shop.example", reason, None)


def test_what_is_not_the_recipients_fault_blocks_nobody(running: BlocklistStack) -> None:
    innocent, marker = address(), address()
    running.publish("bounce", [event(innocent, **SPAM), event(innocent, action="delayed", **HARD)])
    running.publish("bounce", [event(innocent, **FULL), event(innocent, age=DAY, **FULL)])
    running.publish("bounce", [event(innocent, age=15 * DAY, **HARD), event("no address", **HARD)])
    running.publish(
        "unsubscribe", [event(innocent, sender_domain="global"), event(innocent, sender_domain="a|b")]
    )
    for kind in ("bounce", "unsubscribe"):
        running.publish(kind, [event(marker, **(HARD if kind == "bounce" else {}))])

    running.wait_events("blocklist.insert", 2, marker)
    time.sleep(1)
    assert running.events("blocklist.insert", innocent) == []


def test_full_on_three_days_blocks_and_a_delivery_in_between_does_not(running: BlocklistStack) -> None:
    full, recovered = address(), address()
    days = [event(full, age=n * DAY, **FULL) for n in (3, 2, 1)]
    running.publish("delivery", [event(recovered, age=2.5 * DAY)])
    time.sleep(1)  # the delivery is read before the bounces that happened around it
    running.publish("bounce", [*days, *(event(recovered, age=n * DAY, **FULL) for n in (3, 2, 1))])

    (insert,) = running.wait_events("blocklist.insert", 1, full)
    assert insert["reason"] == "mailbox_full"
    assert len(insert["evidence"]["source_event_ids"]) == 3
    assert running.events("blocklist.insert", recovered) == []


def test_a_lease_ends_by_itself(running: BlocklistStack) -> None:
    recipient = address()
    # Long enough that a busy machine reads the bounce before its lease is over.
    running.publish("bounce", [event(recipient, age=LEASE - timedelta(seconds=10), **HARD)])

    (expire,) = running.wait_events("blocklist.expire", 1, recipient)
    (insert,) = running.events("blocklist.insert", recipient)
    assert expire["cause"] == "lease_ended"
    assert expire["entry_id"] == insert["entry_id"]
    assert at(expire["expired_at"]) >= at(expire["expires_at"])
    assert f"global|{recipient}" not in running.state()


def test_a_later_bounce_extends(running: BlocklistStack) -> None:
    recipient = address()
    running.publish("bounce", [event(recipient, age=2 * DAY, **HARD)])
    running.wait_events("blocklist.insert", 1, recipient)
    running.publish("bounce", [event(recipient, account_id="other", **HARD)])

    first, second = running.wait_events("blocklist.insert", 2, recipient)
    assert second["change"] == "extended"
    assert second["entry_id"] == first["entry_id"] and second["event_id"] != first["event_id"]
    assert at(second["expires_at"]) > at(first["expires_at"])
    assert second["cause_account_ids"] == ["acme", "other"]


def test_an_array_of_events_and_bad_ones_among_them_are_read_as_the_recorder_reads_them(
    running: BlocklistStack,
) -> None:
    first, second = address(), address()
    running.publish("bounce", [event(address(), **HARD)])  # opens the producer
    batch = [event(first, **HARD), {"event_id": "no"}, event(second, **HARD)]
    running._producer.send(f"{running.prefix}email.bounce", json.dumps(batch).encode()).get(timeout=30)
    running._producer.send(f"{running.prefix}email.bounce", b"{not json").get(timeout=30)

    running.wait_events("blocklist.insert", 1, first)
    running.wait_events("blocklist.insert", 1, second)


# -- commands --------------------------------------------------------------------------------------------------


def test_an_account_lifts_its_own_block_and_not_anothers(running: BlocklistStack) -> None:
    own, others = address(), address()
    running.publish("bounce", [event(own, **HARD), event(others, account_id="other", **HARD)])
    running.wait_events("blocklist.insert", 1, own)
    running.wait_events("blocklist.insert", 1, others)

    done = running.ask("unblock", own, actor="account:acme")
    refused = running.ask("unblock", others, actor="account:acme")
    by_operator = running.ask("unblock", others)

    assert (done.outcome, done.code) == ("done", "unblocked")
    (expire,) = running.wait_events("blocklist.expire", 1, own)
    assert (expire["cause"], expire["event_id"]) == ("unblocked", done.event_ids[0])
    assert (refused.outcome, refused.code) == ("refused", "caused_by_another_account")
    assert by_operator.outcome == "done"
    assert running.ask("unblock", address()).outcome == "not_found"
    (audit,) = running.wait_rows(
        f"SELECT * FROM v_blocklist_commands WHERE command_id = '{refused.command_id}'", 1
    )
    assert (audit["actor_kind"], audit["actor_id"], audit["reason"]) == ("account", "acme", "asked for")
    assert (audit["outcome"], audit["code"]) == ("refused", "caused_by_another_account")


def test_a_repeated_command_repeats_the_first_answer(running: BlocklistStack) -> None:
    recipient = address()
    first = running.ask("block", recipient, command_id=f"c-{recipient[:20]}")
    again = running.ask("block", recipient, command_id=f"c-{recipient[:20]}")

    assert again == first
    assert first.outcome == "done" and len(first.event_ids) == 1
    assert len(running.wait_events("blocklist.insert", 1, recipient)) == 1


def test_an_account_blocks_for_a_domain_that_it_sends_from_and_no_other(running: BlocklistStack) -> None:
    recipient = address()
    now = datetime.now(UTC).replace(microsecond=0)
    running.database.insert([row("accepted", now, account_id="acme", sender_domain="shop.example")])

    mine = running.ask("block", recipient, actor="account:acme", scope="shop.example")
    foreign = running.ask("block", recipient, actor="account:acme", scope="bank.example")
    everyone = running.ask("block", recipient, actor="account:acme")

    assert (mine.outcome, mine.code) == ("done", "blocked")
    assert (foreign.outcome, foreign.code) == ("refused", "not_your_domain")
    assert (everyone.outcome, everyone.code) == ("refused", "operators_only")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"recipient": "no address"}, "invalid_recipient"),
        ({"scope": "a|b"}, "invalid_scope"),
        ({"command": "explode"}, "invalid_command"),
        ({"requested_at": "yesterday"}, "invalid_command"),
    ],
    ids=["recipient", "scope", "command", "time"],
)
def test_a_command_that_makes_no_sense_is_refused_with_a_reason(
    running: BlocklistStack, fields: dict[str, Any], code: str
) -> None:
    command_id = f"bad-{time.time_ns()}"
    command = {
        "command_id": command_id,
        "command": "unblock",
        "recipient": address(),
        "actor": {"kind": "operator", "id": "eve"},
        "reason": "asked for",
        "requested_at": datetime.now(UTC).isoformat(),
        **fields,
    }
    running.publish("bounce", [event(address(), **HARD)])
    running._producer.send(f"{running.prefix}blocklist.command", json.dumps(command).encode()).get(timeout=30)

    deadline_s = time.monotonic() + 20
    replies: list[dict[str, Any]] = []
    while not replies and time.monotonic() < deadline_s:
        replies = [d for key, d in running.records("blocklist.reply") if key == command_id and d]
    assert [(reply["outcome"], reply["code"]) for reply in replies] == [("refused", code)]
    assert replies[0]["text"]


# -- faults ----------------------------------------------------------------------------------------------------


def test_a_lease_that_ended_while_nobody_worked_is_ended_at_the_next_start(stack: BlocklistStack) -> None:
    worker, recipient = stack.start(), address()
    stack.publish("bounce", [event(recipient, age=LEASE - timedelta(seconds=8), **HARD)])
    stack.wait_events("blocklist.insert", 1, recipient)
    worker.kill()
    time.sleep(8)
    assert stack.events("blocklist.expire", recipient) == []

    stack.start()
    (expire,) = stack.wait_events("blocklist.expire", 1, recipient)
    assert expire["cause"] == "lease_ended"


def test_workers_that_are_killed_lose_nothing_and_block_nobody_twice(stack: BlocklistStack) -> None:
    rng = seeded("kill blocklist")
    blocked: list[str] = []
    stopping = threading.Event()

    def produce() -> None:
        while not stopping.is_set():
            recipients = [address() for _ in range(20)]
            stack.publish("bounce", [event(recipient, **HARD) for recipient in recipients])
            blocked.extend(recipients)
            time.sleep(0.1)

    stack.start("a")
    stack.start("b", ready=False)
    thread = threading.Thread(target=produce)
    thread.start()
    try:
        for _ in range(rounds(3, 20)):
            name = rng.choice(["a", "b"])
            time.sleep(rng.uniform(0.5, 4))
            stack.workers[name].kill()
            time.sleep(rng.uniform(0, 1))
            stack.start(name, ready=False)
    finally:
        stopping.set()
        thread.join()
    inserts = stack.wait_events("blocklist.insert", len(blocked), timeout_s=90)
    wanted = set(blocked)
    deadline_s = time.monotonic() + 90
    while {e["recipient"] for e in inserts} != wanted and time.monotonic() < deadline_s:
        time.sleep(0.5)
        inserts = stack.events("blocklist.insert")

    entries = Counter(recipient for recipient, _ in {(e["recipient"], e["entry_id"]) for e in inserts})
    assert set(entries) == wanted
    assert set(entries.values()) == {1}
    assert len({e["event_id"] for e in inserts}) == len(wanted)
    assert set(stack.state()) == {f"global|{recipient}" for recipient in wanted}
    rows = stack.wait_rows("SELECT recipient FROM v_blocklist_active", len(wanted), timeout_s=60)
    assert Counter(row["recipient"] for row in rows) == Counter(wanted)


def test_the_whole_input_read_again_changes_nothing(stack: BlocklistStack) -> None:
    worker = stack.start()
    recipients = [address() for _ in range(30)]
    for age in (3, 2, 1):
        stack.publish("bounce", [event(r, age=age * DAY, **HARD) for r in recipients])
    stack.publish("unsubscribe", [event(r) for r in recipients])
    stack.wait_events("blocklist.insert", 4 * len(recipients))
    stack.ask("unblock", recipients[0])
    ids = {e["event_id"] for topic in ("insert", "expire") for e in stack.events(f"blocklist.{topic}")}
    state = stack.state()
    worker.terminate()

    marker = address()
    stack.start(group_prefix=stack.prefix + "again")
    stack.publish("bounce", [event(marker, **HARD)])
    (extra,) = stack.wait_events("blocklist.insert", 1, marker)
    again = {e["event_id"] for topic in ("insert", "expire") for e in stack.events(f"blocklist.{topic}")}
    assert again == ids | {extra["event_id"]}
    assert {key: value for key, value in stack.state().items() if marker not in key} == state


def test_a_lost_changelog_is_filled_from_clickhouse_before_the_role_is_ready(
    stack: BlocklistStack, broker: Broker, tmp_path: Path
) -> None:
    worker = stack.start()
    recipients = [address() for _ in range(25)]
    stack.publish("bounce", [event(r, **HARD) for r in recipients])
    stack.publish("complaint", [event(recipients[0])])
    stack.wait_rows("SELECT * FROM v_blocklist_active", 26)
    stack.ask("unblock", recipients[1])
    stack.wait_rows("SELECT * FROM blocklist_log WHERE change = 'expired'", 1)
    time.sleep(1)
    before = stack.state()
    worker.terminate()

    # Other topics on the same database, and another number of partitions: what a broker without memory leaves.
    with BlocklistStack(broker, directory=tmp_path / "new", database=stack.database, partitions=3) as fresh:
        stored = "SELECT recipient, max(version) FROM blocklist_entries GROUP BY recipient"
        versions = dict(stack.database.client.query(stored).result_rows)
        fresh.start()
        assert fresh.state() == before
        assert fresh.ask("unblock", recipients[2]).outcome == "done"
        fresh.wait_rows("SELECT * FROM blocklist_log WHERE change = 'expired'", 2)
        time.sleep(1)
        # What came from there was not written again: it would replace what another worker just stored.
        now = dict(stack.database.client.query(stored).result_rows)
        assert {recipient for recipient in now if now[recipient] != versions[recipient]} == {recipients[2]}
        assert fresh.ask("unblock", recipients[1]).outcome == "not_found"
        log = fresh.workers["a"].log_path.read_text()
        restored = [json.loads(line) for line in log.splitlines() if '"blocklist_restored"' in line]
        # The released address is remembered too: a bounce from before must not block it again.
        assert sum(line["entries"] for line in restored) == 26


def test_the_database_may_be_away_and_the_list_goes_on(stack: BlocklistStack) -> None:
    stack.start()
    stack.workers["a"].terminate()
    # A worker that was ready once needs the database for its journal only.
    stack.start("b")
    recipient = address()
    reader = BlocklistReader(stack.database.client, stack.settings)
    assert reader.count_active() == 0
    stack.database.client.command("RENAME TABLE blocklist_log TO hidden_log")
    try:
        stack.publish("bounce", [event(recipient, **HARD)])
        stack.wait_events("blocklist.insert", 1, recipient)
        time.sleep(1)
    finally:
        stack.database.client.command("RENAME TABLE hidden_log TO blocklist_log")
    stack.wait_rows(f"SELECT * FROM v_blocklist_active WHERE recipient = '{recipient}'", 1)


def test_hashed_addresses_are_kept_and_published_as_hashes(stack: BlocklistStack) -> None:
    key = "a key that nobody knows"
    hashed = {"blocklist_recipient_form": "hmac-sha256", "blocklist_hash_key": key}
    stack.start(**hashed)
    recipient = address()
    bounce = {**HARD, "diagnostic": f"550 5.1.1 <{recipient}>: no such user"}
    stack.publish("bounce", [event(recipient, **bounce)])

    (insert,) = stack.wait_events("blocklist.insert", 1)
    assert insert["recipient_form"] == "hmac-sha256"
    assert len(insert["recipient"]) == 64
    assert stack.ask("unblock", recipient).outcome == "done"
    stack.wait_events("blocklist.expire", 1)
    stack.wait_rows("SELECT * FROM blocklist_log WHERE change = 'expired'", 1)
    everything = json.dumps(stack.records("blocklist.insert") + stack.records("blocklist.expire"))
    for table in ("blocklist_log", "blocklist_entries", "blocklist_commands"):
        everything += json.dumps(stack.database.query(f"SELECT * FROM {table}"), default=str)
    assert recipient not in everything
    assert "<address>" in everything
