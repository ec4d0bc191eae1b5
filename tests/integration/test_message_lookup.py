"""Messages are found by id and by recipient, each event once, and only by the account whose they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.blocklist_store import BlocklistWriter, EntryRow
from postloop.adapters.message_lookup import MAX_MESSAGES, MAX_RECIPIENTS, Asker, MessageLookup
from postloop.adapters.message_reader import MAX_EVENTS, MAX_OF_KIND
from postloop.domain.errors import DataError
from tests.support.command_line import run_postloop
from tests.support.database import Database, event, migrated_database, recently

AT = recently()
NOW = datetime.now(UTC)
OPERATOR = Asker(now=NOW)
ACME = Asker(now=NOW, account_id="acme")
OTHER = Asker(now=NOW, account_id="other")
ANNA = "anna@gmail.com"
GONE: dict[str, Any] = {
    "reason": "user_unknown",
    "hard": True,
    "fault": "recipient",
    "smtp_code": 550,
    "enhanced_code": "5.1.1",
    "diagnostic": "550 5.1.1 no such user",
    "action": "failed",
}


def of(message_id: str, recipient: str = ANNA, **columns: Any) -> dict[str, Any]:
    return {"message_id": message_id, "recipient": recipient, **columns}


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """Messages of two accounts, some with the same id; with repeats as a fault may leave them."""
    made = migrated_database()
    bounce = event("hard_bounce", AT + timedelta(seconds=2), event_id="b1", **of("m1"), **GONE)
    made.insert(
        [
            event("accepted", AT, event_id="s1", **of("m1")),
            bounce,
            event("accepted", AT - timedelta(hours=1), **of("m2")),
            event("delivered", AT - timedelta(minutes=59), **of("m2")),
            event("accepted", AT - timedelta(hours=2), account_id="other", **of("m1")),
            event("accepted", AT - timedelta(hours=3), **of("many", "one@example.org")),
            event("delivered", AT - timedelta(hours=3), **of("many", "one@example.org")),
            event(
                "suppressed",
                AT - timedelta(hours=3),
                error_code="blocklisted",
                **of("many", "two@example.org"),
            ),
        ]
    )
    made.insert([bounce, event("accepted", AT, event_id="s1", **of("m1"))])
    blocked = EntryRow(
        recipient_hash=recipient_hash(ANNA), scope="global", recipient=ANNA, version=1, value="{}", is_active=True,
        entry_id="e", reason="user_unknown", cause_account_ids=("acme",), starts_at=AT, inserted_at=AT,
        expires_at=NOW + timedelta(days=13),
    )  # fmt: skip
    ended = EntryRow(
        recipient_hash=recipient_hash(ANNA), scope="mail.acme.test", recipient=ANNA, version=1, value="{}",
        is_active=True, reason="unsubscribe", starts_at=AT, expires_at=NOW - timedelta(seconds=1),
    )  # fmt: skip
    BlocklistWriter(made.client).write_entries([blocked, ended])
    yield made


@pytest.fixture(scope="module")
def lookup(database: Database) -> MessageLookup:
    return MessageLookup(database.client, database.settings)


def test_a_bounced_message_is_explained_with_the_block_that_followed(lookup: MessageLookup) -> None:
    found = lookup.show("m1", ACME)
    assert found is not None
    [copy] = found.recipients
    assert (copy.verdict, copy.reason, copy.side, copy.account_id) == (
        "bounced_hard",
        "user_unknown",
        "recipient",
        "acme",
    )
    assert [item.event_id for item in copy.timeline] == ["s1", "b1"]
    assert [(entry.scope, entry.reason) for entry in copy.blocked] == [("global", "user_unknown")]
    assert "blocklist unblock" in copy.next_steps[1].text
    assert found.is_complete


def test_another_accounts_message_is_not_found_though_the_id_is_the_same(lookup: MessageLookup) -> None:
    own = lookup.show("m1", OTHER)
    assert own is not None
    assert {(copy.account_id, copy.verdict) for copy in own.recipients} == {("other", "delayed")}
    assert [entry.reason for entry in own.recipients[0].blocked] == [None]
    assert lookup.show("m2", OTHER) is None
    assert lookup.show("m3", OPERATOR) is None


def test_the_operator_sees_the_message_of_every_account(lookup: MessageLookup) -> None:
    found = lookup.show("m1", OPERATOR)
    assert found is not None
    assert [copy.account_id for copy in found.recipients] == ["acme", "other"]


def test_each_recipient_has_a_verdict_of_its_own(lookup: MessageLookup) -> None:
    found = lookup.show("many", ACME)
    assert found is not None
    assert {copy.recipient: copy.verdict for copy in found.recipients} == {
        "one@example.org": "delivered",
        "two@example.org": "suppressed",
    }
    one = lookup.show("many", ACME, recipient=" ONE@Example.ORG")
    assert one is not None
    assert [copy.recipient for copy in one.recipients] == ["one@example.org"]


def test_a_recipient_in_any_spelling_lists_messages_the_newest_first_page_by_page(
    lookup: MessageLookup,
) -> None:
    whole = lookup.sent_to("Anna@GMAIL.com", OPERATOR)
    assert [(m.account_id, m.message_id) for m in whole.messages] == [
        ("acme", "m1"),
        ("acme", "m2"),
        ("other", "m1"),
    ]
    assert whole.next_cursor is None
    paged, cursor = [], None
    while True:
        page = lookup.sent_to(ANNA, OPERATOR, limit=1, cursor=cursor)
        paged += page.messages
        cursor = page.next_cursor
        if cursor is None:
            break
    assert paged == whole.messages
    assert [m.message_id for m in lookup.sent_to(ANNA, OTHER).messages] == ["m1"]
    assert lookup.sent_to("nobody@example.org", OPERATOR).messages == []


def test_a_cursor_from_elsewhere_is_refused(lookup: MessageLookup) -> None:
    with pytest.raises(DataError):
        lookup.sent_to(ANNA, OPERATOR, cursor="WyJ4Il0")


@pytest.mark.parametrize(
    "text", ["", "'; DROP TABLE events; --", "\\", "{a:String}", "%", "\x00", "ü\n\t'\"`"]
)
def test_any_text_is_asked_for_as_it_is(lookup: MessageLookup, database: Database, text: str) -> None:
    assert lookup.show(text, Asker(now=NOW, account_id=text)) is None
    database.insert([event("accepted", AT, account_id=text or "x", **of(text, text))])
    assert lookup.show(text, OPERATOR, recipient=text) is not None
    assert lookup.sent_to(text, OPERATOR).messages != []


def test_an_answer_is_bounded_and_says_so(database: Database, lookup: MessageLookup) -> None:
    many = [event("accepted", AT, **of("to all", f"r{n}@example.org")) for n in range(MAX_RECIPIENTS + 1)]
    loop = [event("deferral", AT, **of("loop", "loop@example.org")) for _ in range(MAX_EVENTS + 1)]
    database.insert([*many, *loop])
    for message_id, copies, events in (("to all", MAX_RECIPIENTS, 1), ("loop", 1, MAX_OF_KIND)):
        found = lookup.show(message_id, ACME)
        assert found is not None
        assert (len(found.recipients), found.is_complete) == (copies, False)
        assert {len(copy.timeline) for copy in found.recipients} == {events}


def test_a_page_of_messages_that_were_opened_often_lacks_nothing(
    database: Database, lookup: MessageLookup
) -> None:
    """14 events each: send, delivery and 12 opens; stored topic by topic."""
    recipient, names = "often@example.org", [f"often-{n}" for n in range(MAX_MESSAGES)]
    for outcome, count in (("human", 12), ("accepted", 1), ("delivered", 1)):
        later = {"accepted": 0, "delivered": 2}.get(outcome, 60)
        rows = [
            event(outcome, AT + timedelta(seconds=later + place), **of(name, recipient))
            for name in names
            for place in range(count)
        ]
        database.insert(rows)
    page = lookup.sent_to(recipient, ACME, limit=MAX_MESSAGES)
    assert len(page.messages) == MAX_MESSAGES
    assert {len(message.timeline) for message in page.messages} == {14}
    assert {(message.verdict, *message.reactions) for message in page.messages} == {
        ("delivered", "human_open")
    }
    assert page.is_complete and all(message.is_complete for message in page.messages)


def test_what_is_cut_changes_no_verdict_and_is_said_where_it_was(
    database: Database, lookup: MessageLookup
) -> None:
    """Machines open a message more often than an answer holds; it bounced last, and topics are stored in any order."""
    recipient = "proxy@example.org"
    opened = [
        event("machine", AT + timedelta(seconds=10 + n), **of(f"proxied-{copy}", recipient))
        for copy in range(60)
        for n in range(MAX_OF_KIND + 50)
    ]
    others = [
        row
        for copy in range(60)
        for row in (
            event("accepted", AT, **of(f"proxied-{copy}", recipient)),
            event("delivered", AT + timedelta(seconds=1), **of(f"proxied-{copy}", recipient)),
            event("human", AT + timedelta(hours=2), **of(f"proxied-{copy}", recipient)),
            event("hard_bounce", AT + timedelta(hours=3), **of(f"proxied-{copy}", recipient), **GONE),
        )
    ]
    database.insert([*opened, *others, event("accepted", AT, **of("short", recipient))])
    page = lookup.sent_to(recipient, ACME, limit=MAX_MESSAGES)
    told = {message.message_id: message for message in page.messages}
    short = told.pop("short")
    assert (len(told), page.is_complete, short.is_complete) == (60, False, True)
    for message in told.values():
        assert (message.verdict, message.is_complete) == ("bounced_hard", False)
        assert message.reactions == ["machine_open", "human_open"]
        assert [item.outcome for item in message.timeline].count("open") <= MAX_OF_KIND + 1


def test_messages_of_other_accounts_with_the_same_ids_take_no_place_on_a_page(
    database: Database, lookup: MessageLookup
) -> None:
    recipient = "shared@example.org"
    newest = event("accepted", AT + timedelta(minutes=1), account_id="zeta", **of("same", recipient))
    database.insert([event("accepted", AT, **of("same", recipient)), newest])
    page = lookup.sent_to(recipient, OPERATOR, limit=1)
    assert [message.account_id for message in page.messages] == ["zeta"]
    assert page.next_cursor is not None


def test_an_operator_who_names_an_account_is_told_as_an_operator(lookup: MessageLookup) -> None:
    asker = Asker(now=NOW, account_id="other", is_operator=True)
    for found in (lookup.show("m1", asker), lookup.show("m1", OPERATOR, recipient=ANNA)):
        assert found is not None
        [copy] = [copy for copy in found.recipients if copy.account_id == "other"]
        [entry] = copy.blocked
        assert (entry.reason, entry.has_other_causes) == ("user_unknown", False)
        assert any("postloop blocklist unblock" in step.text for step in copy.next_steps)


def run(database: Database, directory: Path, *arguments: str) -> CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLOOP_")}
    settings = {
        "CLICKHOUSE_URL": database.settings.clickhouse_url,
        "CLICKHOUSE_DATABASE": database.name,
    }
    env |= {f"POSTLOOP_{name}": value for name, value in settings.items()} | {"COLUMNS": "80"}
    return run_postloop("message", *arguments, env=env, cwd=directory)


def test_the_command_line_says_the_verdict_first(database: Database, tmp_path: Path) -> None:
    shown = run(database, tmp_path, "show", "m1", "--account", "acme")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[0] == "It bounced for good, 2.0 s after it was sent."
    asked = json.loads(run(database, tmp_path, "show", "m1", "--account", "acme", "--json").stdout)
    assert asked["recipients"][0]["verdict"] == "bounced_hard"


def test_the_command_line_lists_messages_as_json_lines(database: Database, tmp_path: Path) -> None:
    listed = run(database, tmp_path, "list", "--recipient", ANNA, "--account", "acme", "--json")
    assert [json.loads(line)["message_id"] for line in listed.stdout.splitlines()] == ["m1", "m2"]
    assert run(database, tmp_path, "list", "--recipient", ANNA, "--limit", "1").stderr.startswith(
        "the first 1;"
    )


def test_a_list_that_ends_with_its_limit_has_no_more(database: Database, tmp_path: Path) -> None:
    for limit, said in ((2, ""), (1, "the first 1; --limit shows more\n")):
        listed = run(
            database, tmp_path, "list", "--recipient", ANNA, "--account", "acme", "--limit", str(limit)
        )
        assert (listed.returncode, listed.stderr) == (0, said)


def test_an_empty_id_is_wrong_usage(database: Database, tmp_path: Path) -> None:
    done = run(database, tmp_path, "show", "")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["show", "m9"], id="unknown"),
        pytest.param(["show", "m2", "--account", "other"], id="foreign"),
        pytest.param(["show", "m1", "--recipient", "x@example.org"], id="another recipient"),
        pytest.param(["list", "--recipient", "nobody@example.org"], id="no message"),
    ],
)
def test_not_found_is_exit_code_1(database: Database, tmp_path: Path, arguments: list[str]) -> None:
    done = run(database, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no message")


def test_without_clickhouse_the_exit_code_is_3(tmp_path: Path) -> None:
    env = {"POSTLOOP_CLICKHOUSE_URL": "http://127.0.0.1:1", "PATH": os.environ["PATH"]}
    done = run_postloop("message", "show", "m1", env=env, cwd=tmp_path)
    assert done.returncode == 3
    assert "http://127.0.0.1:1" in done.stderr
