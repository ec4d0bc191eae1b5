"""Builders: endpoints, and one notice of every type as the topics make it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from postloop.contracts.blocklist import BlocklistExpireV1, BlocklistInsertV1, EvidenceV1
from postloop.contracts.webhook_sources import (
    notice_of_alert,
    notice_of_blocklist,
    notice_of_event,
    notice_of_reputation,
)
from postloop.domain.webhook.bodies import batch_body, body_of
from postloop.domain.webhook.endpoint import Endpoint, Secret
from postloop.domain.webhook.notice import Notice, webhook_id
from postloop.domain.webhook.notices import disabled_notice, test_notice
from postloop.domain.webhook.transitions import EndpointDisabled, moved

AT = datetime(2026, 11, 23, 11, 59, tzinfo=UTC)
NOW_MS = 1_795_435_140_000


def endpoint(**fields: Any) -> Endpoint:
    made = Endpoint(
        endpoint_id="ep_1",
        account_id="acme",
        url="https://hooks.acme.example/mail",
        event_types=frozenset({"all"}),
        secrets=(Secret(value="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),),
        hash_key="00" * 32,
        created_ms=NOW_MS,
        state_ms=NOW_MS,
    )
    return replace(made, **fields)


def event(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": "b-1",
        "occurred_at": AT,
        "account_id": "acme",
        "message_id": "m-1",
        "sender_domain": "mail.acme.example",
        "recipient": "Ann.Lee@example.org",
        "mail_class": "transactional",
        "campaign_id": "welcome",
        "tags": ("new",),
        "sent_at": AT,
        **fields,
    }


def notices() -> list[Notice]:
    """Return one notice of every type that there is, in the order of the types."""
    said = "550 5.1.1 <Ann.Lee@example.org>: no such user ann.lee here"
    refusal = {"smtp_code": 550, "enhanced_code": "5.1.1", "diagnostic": said, "smtp_command": "RCPT"}
    later = {
        "action": "delayed",
        "smtp_code": 451,
        "enhanced_code": "4.7.1",
        "diagnostic": "greylisted",
        "attempt": 1,
    }
    found = [
        notice_of_event("delivery", event(smtp_response="250 2.0.0 queued", remote_host="mx.example.org")),
        notice_of_event("bounce", event(**later)),
        notice_of_event("bounce", event(**refusal, remote_host="mx.example.org", attempt=1)),
        notice_of_event("complaint", event(feedback_type="abuse", reporting_provider="yahoo")),
        notice_of_event("open", event(user_agent="Mozilla/5.0 (Windows NT 10.0) Thunderbird/128")),
        notice_of_event("unsubscribe", event(method="one_click")),
    ]
    assert None not in found
    disabled = moved(endpoint(endpoint_id="ep_2"), "disable", now_ms=NOW_MS, cause="failing")
    return [
        *(notice for notice in found if notice is not None),
        notice_of_blocklist(BlocklistInsertV1(**blocked())),
        notice_of_blocklist(BlocklistExpireV1(**blocked(), cause="lease_ended", expired_at=AT)),
        notice_of_reputation(reputation()),
        notice_of_alert(alert()),
        disabled_notice(EndpointDisabled(endpoint=disabled, at_ms=NOW_MS)),
        test_notice(event_id="t-1", occurred_ms=NOW_MS),
    ]


def blocked() -> dict[str, Any]:
    return {
        "event_id": "i-1",
        "entry_id": "n-1",
        "change": "inserted",
        "scope": "global",
        "recipient": "ann.lee@example.org",
        "recipient_form": "clear",
        "mailbox_provider": "corporate",
        "reason": "user_unknown",
        "cause_account_ids": ("acme", "zeta"),
        "evidence": EvidenceV1(source_event_ids=("z-9",), smtp_text="550 no", rule="r", rule_version="1"),
        "starts_at": AT,
        "inserted_at": AT,
        "changed_at": AT,
        "expires_at": AT.replace(month=12),
    }


def reputation() -> dict[str, Any]:
    return {
        "event_id": "r-1",
        "account_id": "acme",
        "sender_domain": "mail.acme.example",
        "mailbox_provider": None,
        "at": "2026-11-23T11:59:00Z",
        "before": {"score": 82, "grade": "high"},
        "after": {"score": 57.5, "grade": "low"},
        "recommendation": "throttle",
        "factors": [{"name": "complaint", "rate": 0.002, "low": 0.001, "high": 0.004, "weight": 0.4}],
    }


def alert() -> dict[str, Any]:
    return {
        "event_id": "a-1",
        "kind": "provider_outage",
        "account_id": None,
        "sender_domain": None,
        "mailbox_provider": "gmail",
        "started_at": "2026-11-23T11:59:00.000Z",
        "ended_at": None,
        "figures": {"hard_count": 210},
        "text": "gmail refuses far more than usual.",
    }


def bodies(**fields: Any) -> dict[str, bytes]:
    """Return the body of every type for an endpoint, by the name of its schema; a batch of the first three too."""
    to = endpoint(**fields)
    made = [(notice, body_of(notice, to)) for notice in notices()]
    found = {f"webhook.{notice.type.removeprefix('webhook.')}": body for notice, body in made}
    members = [(webhook_id(event_id=n.event_id, endpoint_id=to.endpoint_id), body) for n, body in made[:3]]
    return found | {"webhook.batch": batch_body(members)}
