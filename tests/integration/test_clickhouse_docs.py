"""The example queries of docs/clickhouse.md give the output that stands under them.

After a change, `POSTLOOP_TEST_WRITE_DOCS=1 pytest tests/integration/test_clickhouse_docs.py` writes the new output.
"""

import os
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postloop.adapters import migrations
from postloop.adapters.migration_render import Layout
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
    database.insert(mail())
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
