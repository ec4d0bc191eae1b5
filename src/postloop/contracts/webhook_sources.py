"""Records of the topics -> notices: what the webhooks role reads, ready for the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postloop.contracts.address import canonical_recipient
from postloop.contracts.blocklist import BlocklistExpireV1, BlocklistInsertV1
from postloop.contracts.events import Event, with_defaults
from postloop.contracts.fields import milliseconds, parse_time, rfc3339
from postloop.contracts.rows import MAX_TEXT_CHARS
from postloop.contracts.verdicts import bounce_verdict
from postloop.domain.bounce import Fault, Reason
from postloop.domain.event_types import EventType
from postloop.domain.webhook.notice import Notice
from postloop.domain.webhook.notices import blocklist_notice, email_notice


def notice_of_event(event_type: EventType, event: Event) -> Notice | None:
    """Return what a valid input event tells; None where no webhook tells it.

    A bounce is judged by the same columns as the recorder judges it, so that webhook and database agree.
    """
    whole = with_defaults(event_type, event)
    recipient = canonical_recipient(whole["recipient"])
    sent_at, at = whole["sent_at"], whole["occurred_at"]
    return email_notice(
        event_type,
        whole,
        occurred_ms=milliseconds(at),
        recipient=recipient.canonical,
        since_sent_s=None if sent_at is None else (at - sent_at).total_seconds(),
        verdict=_verdict(whole, recipient.domain) if event_type == "bounce" else None,
    )


def notice_of_blocklist(record: BlocklistInsertV1) -> Notice:
    """Return what a record of `blocklist.insert` or `blocklist.expire` tells; the causes decide to whom."""
    is_expire = isinstance(record, BlocklistExpireV1)
    data: dict[str, Any] = {
        "entry_id": record.entry_id,
        "change": record.change,
        "mailbox_provider": record.mailbox_provider,
        "reason": record.reason,
        "blocked_by_others": len(record.cause_account_ids) > 1,
        "starts_at": rfc3339(record.starts_at),
        "inserted_at": rfc3339(record.inserted_at),
        "expires_at": None if record.expires_at is None else rfc3339(record.expires_at),
    }
    if isinstance(record, BlocklistExpireV1):
        data["cause"] = record.cause
    return blocklist_notice(
        "blocklist.expired" if is_expire else "blocklist.inserted",
        event_id=record.event_id,
        occurred_ms=milliseconds(
            record.expired_at if isinstance(record, BlocklistExpireV1) else record.changed_at
        ),
        cause_account_ids=record.cause_account_ids,
        scope=record.scope,
        recipient=record.recipient,
        recipient_form=record.recipient_form,
        data=data,
    )


def notice_of_reputation(record: Mapping[str, Any]) -> Notice:
    """Return what a record of `reputation.change` tells, given as JSON values."""
    names = ("mailbox_provider", "before", "after", "recommendation", "factors")
    return Notice(
        type="reputation.changed",
        event_id=record["event_id"],
        occurred_ms=milliseconds(parse_time(record["at"])),
        account_ids=(record["account_id"],),
        sender_domain=record["sender_domain"],
        data={name: record[name] for name in names},
    )


def notice_of_alert(record: Mapping[str, Any]) -> Notice:
    """Return what a record of `delivery.alert` tells, given as JSON values; its start or its end is its time."""
    names = ("kind", "mailbox_provider", "started_at", "ended_at", "figures", "text")
    domain, account = record.get("sender_domain"), record.get("account_id")
    return Notice(
        type="delivery.alert",
        event_id=record["event_id"],
        occurred_ms=milliseconds(parse_time(record.get("ended_at") or record["started_at"])),
        account_ids=() if account is None else (account,),
        sender_domain=domain or "",
        data={"sender_domain": domain, **{name: record.get(name) for name in names}},
    )


def _verdict(event: Event, recipient_domain: str) -> tuple[Reason, bool, Fault]:
    texts = (
        event[name][:MAX_TEXT_CHARS]
        for name in ("enhanced_code", "diagnostic", "smtp_command", "remote_host")
    )
    columns: Any = bounce_verdict(event["action"], event["smtp_code"], *texts, recipient_domain)
    return columns.reason, columns.hard, columns.fault
