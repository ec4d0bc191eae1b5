"""Bounces and rejected sends, as a recorder stores them today and as one without the classifier did."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from postloop.adapters import migrations
from postloop.adapters.event_table import EventRows, event_table, joined
from postloop.adapters.run_store import ClickHouseRunStore, new_run_id
from postloop.domain.event_types import EventType
from tests.support.database import Database

NEW_COLUMNS = ("reason", "hard", "fault", "rule", "confidence", "rules_version", "cause")
REPLIES: tuple[dict[str, Any], ...] = (
    {"smtp_code": 550, "enhanced_code": "5.1.1", "diagnostic": "No such user here", "smtp_command": "RCPT"},
    {
        "smtp_code": 550,
        "enhanced_code": "5.7.1",
        "diagnostic": "Message looks like spam",
        "smtp_command": "DATA",
    },
    {"smtp_code": 554, "enhanced_code": "5.7.1", "diagnostic": "Your address is on a block list"},
    {"smtp_code": 452, "enhanced_code": "4.2.2", "diagnostic": "The mailbox is full"},
    {"smtp_code": 451, "enhanced_code": "4.7.1", "diagnostic": "Greylisted, try later", "action": "delayed"},
    {"smtp_code": 421, "diagnostic": "Too many connections from you", "action": "delayed"},
    {"diagnostic": "Delivery failed"},
)
REJECTIONS = (
    ("AuthFailure.SecretIdNotFound", "", "permission_keys"),
    ("FailedOperation.NotAuthenticatedSender", "", "sender_domain"),
    ("FailedOperation.IncorrectEmail", "", "recipient_address"),
    ("InvalidParameter", "TemplateData lacks a variable", "template_data"),
    ("FailedOperation.WithOutPermission", "", "template_only"),
)
"""Code, text and cause of the five failures that support checks for."""


def bounces(at: datetime, *, count: int) -> list[dict[str, Any]]:
    """Return events over 50 minutes around a moment, every fifth of them a delivery's."""
    return [
        {
            "event_id": f"b{n}",
            "occurred_at": at + timedelta(seconds=n * 3000 / count - 1500),
            "account_id": f"a{n % 2}",
            "message_id": f"m{n}",
            "sender_domain": f"d{n % 3}.example",
            "recipient": f"user{n}@{('gmail.com', 'yahoo.com', 'shop.example')[n % 3]}",
            "campaign_id": "spring" if n % 4 else "",
            **REPLIES[n % len(REPLIES)],
        }
        for n in range(count)
    ]


def rejections(at: datetime) -> list[dict[str, Any]]:
    """Return one send that was accepted, one that the blocklist stopped, and one rejected for each cause."""
    answers = [
        {},
        {"status": "rejected", "error_code": "blocklisted"},
        *({"status": "rejected", "error_code": code, "error_message": text} for code, text, _ in REJECTIONS),
    ]
    return [
        {
            "event_id": f"s{n}",
            "occurred_at": at,
            "account_id": "a0",
            "message_id": f"s{n}",
            "sender_domain": "d0.example",
            "recipient": f"user{n}@gmail.com",
            **answer,
        }
        for n, answer in enumerate(answers)
    ]


def table_of(
    kind: EventType, events: Sequence[dict[str, Any]], *, at: datetime, partition: int = 0
) -> pa.Table:
    """Return the rows of a run as the recorder makes them."""
    n = len(events)
    rows = EventRows(
        kind,
        f"email.{kind}",
        f"id-{kind}",
        [partition] * n,
        list(range(n)),
        [0] * n,
        [int(at.timestamp() * 1000)] * n,
        list(events),
    )
    return joined([event_table(rows)], stored_at=at)


def without_verdicts(table: pa.Table) -> pa.Table:
    """Return what a recorder of the release before stores: hard by reply code, and no verdict."""
    if "reason" in table.column_names:
        actions, codes = (table.column(name).to_pylist() for name in ("action", "smtp_code"))
        outcomes = [
            "deferral" if action == "delayed" else "hard_bounce" if code >= 500 else "soft_bounce"
            for action, code in zip(actions, codes, strict=True)
        ]
        place = table.column_names.index("outcome")
        table = table.set_column(place, "outcome", pa.array(outcomes))
    return table.drop_columns([name for name in NEW_COLUMNS if name in table.column_names])


def store(db: Database, table: pa.Table, *, at: datetime) -> str:
    """Store rows as a run of their own and return its id."""
    run_id = new_run_id(at.date())
    ClickHouseRunStore(db.client).insert(table, run_id=run_id, time_limit_s=30)
    return run_id


@contextmanager
def release_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `migrate` know nothing of verdicts."""
    known = migrations.migrations()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "migrations", lambda: known[:2])
        yield


def old_database(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Database]) -> Database:
    """Return a database with the schema of the release before."""
    db = make()
    with release_before(monkeypatch):
        migrations.apply(db.client, db.settings)
    return db
