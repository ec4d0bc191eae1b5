"""Notices: what happened, ready to be told, before it is known to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from postloop.domain.event_ids import Namespace

RecipientForm = Literal["", "clear", "masked", "hmac-sha256"]

_IDS: Final = Namespace("3d5c2a7e-5f0b-5c1d-8a6e-91b7c0f4e2d8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event of a type that webhooks tell.

    Attributes:
        type: One of `WEBHOOK_TYPES`, or `TEST_TYPE`.
        event_id: Of the event; with the endpoint it makes the webhook's id.
        occurred_ms: Event time, in milliseconds since 1970.
        account_ids: Whom it concerns. Never part of a body: each receiver is told its own name only.
        sender_domain: Empty where it is about no single domain.
        mail_class: Empty where it is about no message.
        recipient: Empty where it is about no address.
        recipient_form: Of `recipient`, as the source publishes it.
        data: What else the body tells, JSON values. Texts in it may quote the recipient: see `bodies`.
    """

    type: str
    event_id: str
    occurred_ms: int
    account_ids: tuple[str, ...] = ()
    sender_domain: str = ""
    mail_class: str = ""
    recipient: str = ""
    recipient_form: RecipientForm = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def delayed_event_id(*, account_id: str, message_id: str, recipient: str) -> str:
    """Return the id of the one `email.delayed` of a message and recipient, whichever deferral came first."""
    return _IDS.id_of(f"delayed|{len(account_id)}|{account_id}|{len(message_id)}|{message_id}|{recipient}")


def disabled_event_id(*, endpoint_id: str, version: int) -> str:
    """Return the id of the event that an endpoint was disabled by its change number `version`."""
    return _IDS.id_of(f"disabled|{endpoint_id}|{version}")


def webhook_id(*, event_id: str, endpoint_id: str) -> str:
    """Return the id of an event for an endpoint: `msg_` and a UUIDv5. Every attempt and resend repeats it."""
    return "msg_" + _IDS.id_of(f"msg|{endpoint_id}|{event_id}")


def batch_id(*, endpoint_id: str, webhook_ids: tuple[str, ...]) -> str:
    """Return the id of several webhooks that go out in one request, in their order."""
    return "msg_" + _IDS.id_of(f"batch|{endpoint_id}|" + ",".join(webhook_ids))
