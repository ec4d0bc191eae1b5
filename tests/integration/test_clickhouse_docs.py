"""The example queries of docs/clickhouse.md give the output that stands under them.

After a change, `POSTLOOP_TEST_WRITE_DOCS=1 pytest tests/integration/test_clickhouse_docs.py` writes the new output.
"""

import os
import random
import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postloop.adapters import migrations
from postloop.adapters.blocklist_policy import recipient_hash
from postloop.adapters.blocklist_store import AlertRow, BlocklistWriter, CommandRow, EntryRow, LogRow
from postloop.adapters.migration_render import Layout
from postloop.adapters.reputation_store import CurrentRow
from postloop.adapters.reputation_store import LogRow as ChangeRow
from postloop.adapters.reputation_writer import ReputationWriter
from tests.support.database import Database, Row, bare_database, event

PAGE = Path(__file__).parents[2] / "docs" / "clickhouse.md"
EXAMPLE = re.compile(r"```sql\n(?P<query>SELECT .*?)\n```\n\n```text\n(?P<output>.*?)\n```", re.DOTALL)
AS_OF = datetime(2026, 1, 2, tzinfo=UTC)
VERDICTS = {
    "hard_bounce": [("user_unknown", "recipient")],
    "soft_bounce": [("mailbox_full", "recipient"), ("spam_content", "sender")],
}
SENDERS = (("acme", "mail.acme.example", "marketing", 0.02), ("zeta", "news.zeta.example", "marketing", 0.09))


@pytest.fixture(scope="module")
def db() -> Database:
    """Two senders on one shared pool, two days of mail. Without retention, which would forget these days."""
    database = bare_database()
    for migration in migrations.migrations():
        for statement in migration.statements(Layout()):
            database.client.command(statement)
    database.insert([*mail(), *stopped(), *unfinished()])
    writer = BlocklistWriter(database.client)
    fill_blocklist(writer)
    writer.write_alerts(alerts())
    fill_reputation(ReputationWriter(database.client, database.settings))
    return database


def mail() -> list[Row]:
    chance = random.Random(2)
    rows = []
    for number in range(600):
        account, domain, mail_class, bad = SENDERS[number % 5 == 0]
        provider = chance.choice(["gmail", "gmail", "apple", "yahoo"])
        sent = AS_OF - timedelta(minutes=chance.uniform(20, 2600))
        common = {
            "account_id": account,
            "sender_domain": domain,
            "mail_class": mail_class,
            "mailbox_provider": provider,
            "reports_complaints": provider == "yahoo",
            "ip_pool": "eu-1",
            "campaign_id": "winter" if number % 3 else "",
            "message_id": f"m{number}",
            "recipient": f"r{number}@example.org",
            "sent_at": sent,
        }
        done = sent + timedelta(seconds=chance.choice([3, 8, 20, 95, 700]))
        rows.append(event("accepted", sent, **common))
        fate = "delivered" if chance.random() > bad else chance.choice(["hard_bounce", "soft_bounce"])
        verdicts = VERDICTS.get(fate, [("", "")])
        reason, fault = verdicts[number // 2 % len(verdicts)]
        rows.append(event(fate, done, reason=reason, fault=fault, hard=fate == "hard_bounce", **common))
        if fate == "delivered" and chance.random() < 0.6:
            rows.append(
                event("machine" if provider == "apple" else "human", done + timedelta(minutes=9), **common)
            )
        if fate == "delivered" and provider == "yahoo" and chance.random() < 0.03:
            rows.append(event("complaint", done + timedelta(minutes=15), **common))
    return rows


def alerts() -> list[AlertRow]:
    """Return an outage that is over, and one that goes on."""
    began = AlertRow(
        event_id="a1",
        kind="provider_outage",
        account_id="",
        sender_domain="",
        mailbox_provider="yahoo",
        started_at=AS_OF - timedelta(hours=30),
        ended_at=None,
        figures='{"rate": 0.87}',
        text="yahoo refuses 87.0 % of the mail",
        published_at=AS_OF - timedelta(hours=30) + timedelta(seconds=70),
    )
    ended = replace(
        began,
        event_id="a2",
        ended_at=AS_OF - timedelta(hours=28),
        figures='{"verdict": "discard"}',
        published_at=AS_OF - timedelta(hours=28),
    )
    later = replace(began, event_id="a3", mailbox_provider="gmail", started_at=AS_OF - timedelta(minutes=9))
    return [began, ended, began, later]


def fill_reputation(writer: ReputationWriter) -> None:
    """One sender that is well and one that was told to send less."""
    well = CurrentRow(
        account_id="acme",
        sender_domain="mail.acme.example",
        mailbox_provider="",
        owner_hash=1,
        at=AS_OF - timedelta(seconds=4),
        score=91.4,
        grade="high",
        recommendation="none",
        outcome_count=476,
        complaint_rate=0.0,
        complaint_low=0.0,
        complaint_high=0.0328,
        hard_bounce_rate=0.0105,
        hard_bounce_low=0.0039,
        hard_bounce_high=0.0258,
        refusal_rate=0.0042,
        refusal_low=0.0007,
        refusal_high=0.0168,
        state="{}",
    )
    ill = replace(
        well,
        account_id="zeta",
        sender_domain="news.zeta.example",
        score=47.2,
        grade="low",
        recommendation="throttle",
        outcome_count=124,
        hard_bounce_rate=0.121,
        hard_bounce_low=0.0722,
        hard_bounce_high=0.1944,
    )
    change = ChangeRow(
        event_id="r1",
        account_id="zeta",
        sender_domain="news.zeta.example",
        mailbox_provider="",
        at=AS_OF - timedelta(hours=7),
        before_score=84.0,
        before_grade="high",
        after_score=49.1,
        after_grade="low",
        recommendation="throttle",
        factors="[]",
    )
    writer.write([change, change], [replace(ill, score=49.1, at=AS_OF - timedelta(hours=7)), ill, well])
    fill_parts(writer, well, change)


def fill_parts(writer: ReputationWriter, well: CurrentRow, change: ChangeRow) -> None:
    """A larger sender that is well as a whole, and not so with one mailbox provider and over one pool."""
    whole = replace(well, sender_domain="shop.acme.example", score=83.6, outcome_count=12_480)
    ill = replace(
        whole,
        grade="low",
        recommendation="warn",
        hard_bounce_rate=0.0752,
        hard_bounce_low=0.0623,
        hard_bounce_high=0.0909,
    )
    with_yahoo = replace(ill, mailbox_provider="yahoo", score=55.1, outcome_count=1_462)
    over_pool = replace(ill, ip_pool="eu-2", ip_pool_kind="shared", score=52.4, outcome_count=1_903)
    other_pool = replace(whole, ip_pool="eu-1", ip_pool_kind="dedicated", score=90.2, outcome_count=10_577)
    fell = replace(
        change,
        event_id="r2",
        account_id="acme",
        sender_domain="shop.acme.example",
        at=AS_OF - timedelta(hours=2),
        before_score=90.3,
        after_score=52.4,
        recommendation="warn",
        ip_pool="eu-2",
        ip_pool_kind="shared",
    )
    for _ in range(2):
        writer.write([fell], [whole, with_yahoo, over_pool, other_pool])


def unfinished() -> list[Row]:
    """Return sends that nothing was heard of: some days old, and just before the end."""
    rows = []
    for number, hours in enumerate([100, 98, 97, 60, 30, 0.05]):
        account, domain, mail_class, _ = SENDERS[number % 2]
        common = {"account_id": account, "sender_domain": domain, "mail_class": mail_class, "ip_pool": ""}
        sent = AS_OF - timedelta(hours=hours)
        rows.append(event("accepted", sent, sent_at=sent, message_id=f"u{number}", **common))
    return rows


def stopped() -> list[Row]:
    """Return sends that the blocklist stopped, too old for the examples of one day."""
    rows = []
    for number, recipient in enumerate(
        ["gone@example.org"] * 5 + ["stop@example.org"] * 3 + ["own@example.org"]
    ):
        account, domain, mail_class, _ = SENDERS[number % 2]
        at = AS_OF - timedelta(hours=30 + 2 * number)
        plain = {"ip_pool": "", "recipient": recipient, "account_id": account, "sender_domain": domain}
        rows.append(event("suppressed", at, mail_class=mail_class, **plain))
    return rows


def fill_blocklist(writer: BlocklistWriter) -> None:
    """One address that was blocked and released again, one that complained, one that an operator blocked."""
    gone, stop, legal = "gone@example.org", "stop@example.org", "legal@example.org"
    first = LogRow(
        event_id="1",
        change="inserted",
        entry_id="e1",
        scope="global",
        recipient=gone,
        recipient_form="clear",
        mailbox_provider="corporate",
        reason="user_unknown",
        cause_account_ids=("acme", "zeta"),
        source_event_ids=("b1",),
        smtp_text="550 5.1.1 <gone@example.org> no such user",
        rule="enhanced.5.1.1",
        rule_version="1",
        starts_at=AS_OF - timedelta(days=5),
        inserted_at=AS_OF - timedelta(days=5) + timedelta(milliseconds=412),
        expires_at=AS_OF + timedelta(days=9),
        cause="",
        at=AS_OF - timedelta(days=5) + timedelta(milliseconds=412),
    )
    later, released = AS_OF - timedelta(days=3), AS_OF - timedelta(hours=4)
    complained = AS_OF - timedelta(days=2)
    lasting = {"expires_at": None, "starts_at": complained, "inserted_at": complained, "entry_id": "e2"}
    extended = replace(
        first, event_id="2", change="extended", expires_at=later + timedelta(days=14), at=later
    )
    complaint = replace(
        first,
        **{**lasting, "event_id": "4", "at": complained, "recipient": stop, "scope": "news.zeta.example"},
        reason="complaint",
        cause_account_ids=("zeta",),
        smtp_text="",
        rule="",
    )
    manual = replace(
        complaint, event_id="5", recipient=legal, scope="global", reason="manual", cause_account_ids=(), entry_id="e3"
    )  # fmt: skip
    ended = replace(extended, event_id="3", change="expired", cause="unblocked", at=released)
    writer.write_log([first, extended, ended, complaint, manual])
    common = {field.name for field in fields(LogRow)} & {field.name for field in fields(EntryRow)}
    for row, active in ((ended, False), (complaint, True), (manual, True)):
        values = {name: getattr(row, name) for name in common}
        key = recipient_hash(row.recipient)
        writer.write_entries(
            [EntryRow(**values, recipient_hash=key, version=1, value="{}", is_active=active)]
        )
    refused = CommandRow(
        command_id="c1",
        command="unblock",
        scope="global",
        recipient=gone,
        actor_kind="account",
        actor_id="acme",
        reason="the customer called",
        requested_at=released - timedelta(hours=1),
        answered_at=released - timedelta(hours=1) + timedelta(milliseconds=90),
        outcome="refused",
        code="caused_by_another_account",
        text="The mail of another account caused this block: only an operator can lift it.",
        event_ids=(),
    )
    done = replace(
        refused,
        command_id="c2",
        actor_kind="operator",
        actor_id="eve",
        requested_at=released - timedelta(milliseconds=70),
        answered_at=released,
        outcome="done",
        code="unblocked",
        text="The address is released.",
        event_ids=("3",),
    )
    writer.write_commands([refused, done])


def answer(db: Database, query: str) -> str:
    """Return a query's answer as a person sees it."""
    settings = {"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0}
    settings |= {
        "output_format_pretty_fallback_to_vertical": 0,
        "output_format_pretty_single_large_number_tip_threshold": 0,
    }
    output = db.client.raw_query(query, fmt="PrettyCompactMonoBlock", settings=settings)
    return output.decode().strip("\n")


def test_examples_give_the_output_shown(db: Database) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = EXAMPLE.sub(
        lambda m: f"```sql\n{m['query']}\n```\n\n```text\n{answer(db, m['query'])}\n```", page
    )
    if os.environ.get("POSTLOOP_TEST_WRITE_DOCS"):
        PAGE.write_text(found, encoding="utf-8")
    assert len(EXAMPLE.findall(page)) >= 7
    assert found == page


def test_every_view_and_every_column_is_documented(db: Database) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in migrations.views(db.client):
        if not name.endswith("_at"):
            (section,) = re.findall(rf"^### `{name}`\n(.*?)(?=^##)", page, re.DOTALL | re.MULTILINE)
            columns = [row[0] for row in db.client.query(f"DESCRIBE {name}").result_rows]
            assert [column for column in columns if f"`{column}`" not in section] == [], name
