"""Webhooks in ClickHouse: written twice and read once, health as it is, and no secret in any view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postloop.adapters import migrations
from postloop.adapters.secret_box import SecretBox
from postloop.adapters.webhook_store import WebhookJournal, WebhookMirror
from postloop.contracts.webhook_attempt import AttemptLogV1, AttemptV1, BacklogV1, DeadWebhookV1
from postloop.contracts.webhook_endpoint import endpoint_to_bytes, opened_endpoint, read_endpoint
from postloop.domain.event_types import WEBHOOK_ATTEMPT_TOPIC, WEBHOOK_ENDPOINT_TOPIC
from postloop.domain.webhook.endpoint import Endpoint
from tests.support.database import Database, migrated_database
from tests.unit.contracts.webhooks import endpoint

NOW = datetime.now(UTC).replace(microsecond=0)
BOX = SecretBox([b"k" * 32])
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"type":"email.bounced","data":{"recipient":"ann@example.org"}}'
COLUMNS = {
    "account_id": "LowCardinality(String)",
    "endpoint_id": "String",
    "delivered_count": "UInt64",
    "failed_count": "UInt64",
    "pending_count": "UInt64",
    "p95_s": "Nullable(Float64)",
    "state": "LowCardinality(String)",
}


@dataclass
class Record:
    topic: str
    value: bytes | None
    key: bytes | None = None
    offset: int = 0
    timestamp: int = 1_795_435_140_000


@pytest.fixture
def db() -> Database:
    return migrated_database()


def stored(one: Endpoint, *, offset: int) -> Record:
    value = endpoint_to_bytes(one, seal=BOX.seal)
    return Record(WEBHOOK_ENDPOINT_TOPIC, value, one.endpoint_id.encode(), offset)


def attempt(**fields: Any) -> AttemptV1:
    common = {"webhook_id": "msg_1", "endpoint_id": "ep_1", "account_id": "acme", "event_id": "e1"}
    common |= {"at": NOW, "type": "email.bounced", "attempt": 1, "outcome": "delivered", "status": 200}
    return AttemptV1(**{**common, "latency_ms": 80, **fields})


def records() -> list[Record]:
    dead = DeadWebhookV1(at=NOW, webhook_id="msg_3", endpoint_id="ep_1", account_id="acme", event_id="e3",
                         type="email.bounced", attempt_count=10, cause="server_error", body=BODY)  # fmt: skip
    waiting = BacklogV1(at=NOW, endpoint_id="ep_1", account_id="acme", waiting_count=7, dead_count=1)
    log = AttemptLogV1(
        attempts=(
            attempt(),
            attempt(webhook_id="msg_2", outcome="retried", status=500, error_class="server_error", latency_ms=900,
                    next_attempt_at=NOW + timedelta(seconds=5), response="oops"),
            attempt(webhook_id="msg_3", attempt=10, outcome="given_up", status=0, error_class="timeout"),
            attempt(webhook_id="msg_4", is_test=True),
            attempt(webhook_id="msg_5", at=NOW - timedelta(hours=25)),
        ),
        dead=(dead,),
        backlog=(waiting,),
    )  # fmt: skip
    return [
        stored(endpoint(), offset=0),
        stored(endpoint(endpoint_id="ep_2", account_id=None), offset=1),
        stored(endpoint(endpoint_id="ep_3"), offset=2),
        stored(endpoint(state="paused", version=2), offset=3),
        Record(WEBHOOK_ENDPOINT_TOPIC, None, b"ep_3", 4),
        Record(WEBHOOK_ATTEMPT_TOPIC, log.model_dump_json().encode()),
    ]


def test_health_counts_each_attempt_of_a_day_once_and_tests_never(db: Database) -> None:
    journal = WebhookJournal(db.client, prefix="")
    journal.write(records())
    journal.write(records())
    assert db.query("SELECT * FROM v_webhook_health ORDER BY endpoint_id") == [
        {"account_id": "acme", "endpoint_id": "ep_1", "delivered_count": 1, "failed_count": 2, "pending_count": 7,
         "p95_s": 0.9, "state": "paused"},
        {"account_id": "", "endpoint_id": "ep_2", "delivered_count": 0, "failed_count": 0, "pending_count": 0,
         "p95_s": None, "state": "active"},
    ]  # fmt: skip
    assert db.one("SELECT count() FROM v_webhook_attempts") == 5
    assert db.one("SELECT count() FROM v_webhook_dead") == 1


def test_columns_of_health_are_those_of_the_contract_in_order(db: Database) -> None:
    rows = db.client.query("DESCRIBE (SELECT * FROM v_webhook_health)").result_rows
    assert [row[:2] for row in rows] == list(COLUMNS.items())


def test_endpoints_come_back_as_they_were_and_removed_ones_do_not(db: Database) -> None:
    WebhookJournal(db.client, prefix="").write(records())
    found = [
        opened_endpoint(read_endpoint(value), unseal=BOX.unseal)
        for value in WebhookMirror(db.client).endpoints()
    ]
    assert found == [endpoint(state="paused", version=2), endpoint(endpoint_id="ep_2", account_id=None)]
    assert WebhookMirror(db.client).removed() == {"ep_3"}


def test_what_was_given_up_comes_back_with_its_body(db: Database) -> None:
    WebhookJournal(db.client, prefix="").write(records())
    mirror = WebhookMirror(db.client)
    ((dead,),) = mirror.dead("ep_1", since=NOW)
    assert (dead.webhook_id, dead.body, dead.at) == ("msg_3", BODY, NOW)
    assert list(mirror.dead("ep_1", since=NOW + timedelta(seconds=1))) == []


def test_no_view_shows_a_secret_or_a_body(db: Database) -> None:
    WebhookJournal(db.client, prefix="").write(records())
    for name in (name for name in migrations.views(db.client) if name.startswith("v_webhook")):
        shown = db.client.raw_query(f"SELECT * FROM {name}", fmt="JSONEachRow").decode()
        assert "ep_1" in shown
        assert "ann@example.org" not in shown
        assert "v1." not in shown
    assert SECRET not in db.client.raw_query("SELECT * FROM webhook_endpoints", fmt="JSONEachRow").decode()
