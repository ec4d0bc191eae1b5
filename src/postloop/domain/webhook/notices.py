"""From what happened to notices: events of the input, of the other roles, and of the webhooks themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from postloop.domain.bounce import Fault, Reason
from postloop.domain.diagnosis import advice
from postloop.domain.engagement import open_kind
from postloop.domain.event_types import EventType
from postloop.domain.outcome import outcome_of_complaint
from postloop.domain.webhook.event_types import TEST_TYPE
from postloop.domain.webhook.notice import Notice, RecipientForm, delayed_event_id, disabled_event_id
from postloop.domain.webhook.transitions import EndpointDisabled

MAX_TEXT_CHARS: Final = 2_048
"""A body stays below 20 kB, as Standard Webhooks asks: what servers say is cut."""
MAX_LABEL_CHARS: Final = 998

_OF_MAIL: Final = ("message_id", "campaign_id", "template_id")


def email_notice(
    event_type: EventType,
    event: Mapping[str, Any],
    *,
    occurred_ms: int,
    recipient: str,
    since_sent_s: float | None = None,
    verdict: tuple[Reason, bool, Fault] | None = None,
) -> Notice | None:
    """Return what an input event tells; None for those that no webhook tells (sends, withdrawn complaints).

    Args:
        event: Its fields, absent ones at their defaults.
        recipient: In canonical form.
        since_sent_s: From the sending to an open.
        verdict: Of a bounce: reason, whether it is hard, fault.
    """
    if event_type == "bounce" and verdict is None:
        raise TypeError("a bounce needs a verdict")
    found = _refused(event, *verdict) if verdict is not None else _OWN[event_type](event, since_sent_s)
    if found is None:
        return None
    kind, own = found
    event_id = str(event["event_id"])
    if kind == "email.delayed":
        event_id = delayed_event_id(
            account_id=event["account_id"], message_id=event["message_id"], recipient=recipient
        )
    return Notice(
        type=kind,
        event_id=event_id,
        occurred_ms=occurred_ms,
        account_ids=(event["account_id"],),
        sender_domain=event["sender_domain"],
        mail_class=event["mail_class"],
        recipient=recipient[:MAX_LABEL_CHARS],
        recipient_form="clear",
        data={**{name: event[name] for name in _OF_MAIL}, "tags": list(event["tags"]), **own},
    )


_Found = tuple[str, dict[str, Any]] | None


def _refused(event: Mapping[str, Any], reason: Reason, hard: bool, fault: Fault) -> _Found:
    own: dict[str, Any] = {"reason": reason, "fault": fault}
    is_final = event["action"] != "delayed"
    if is_final:
        own["hard"] = hard
    own["smtp_code"] = event["smtp_code"]
    names = ("enhanced_code", "smtp_command", "remote_host")
    own |= {name: event[name][:MAX_LABEL_CHARS] for name in names}
    own["diagnostic"] = event["diagnostic"][:MAX_TEXT_CHARS]
    own["attempt"] = event["attempt"]
    words = advice(reason)
    own["advice"] = {"sentence": words.sentence, "next_step": words.next_step}
    return "email.bounced" if is_final else "email.delayed", own


def _delivered(event: Mapping[str, Any], _: float | None) -> _Found:
    response, host = event["smtp_response"][:MAX_TEXT_CHARS], event["remote_host"][:MAX_LABEL_CHARS]
    return "email.delivered", {"smtp_response": response, "remote_host": host}


def _complained(event: Mapping[str, Any], _: float | None) -> _Found:
    if outcome_of_complaint(event["feedback_type"]) != "complaint":
        return None
    names = ("feedback_type", "reporting_provider")
    return "email.complained", {name: event[name][:MAX_LABEL_CHARS] for name in names}


def _opened(event: Mapping[str, Any], since_sent_s: float | None) -> _Found:
    kind, _ = open_kind(event["user_agent"], since_delivery_s=since_sent_s)
    return "email.opened", {"open_kind": kind, "user_agent": event["user_agent"][:MAX_TEXT_CHARS]}


def _unsubscribed(event: Mapping[str, Any], _: float | None) -> _Found:
    return "email.unsubscribed", {"method": event["method"]}


def _untold(event: Mapping[str, Any], _: float | None) -> _Found:
    return None


_OWN: Final = {
    "send": _untold,
    "delivery": _delivered,
    "complaint": _complained,
    "open": _opened,
    "unsubscribe": _unsubscribed,
}


def blocklist_notice(
    kind: Literal["blocklist.inserted", "blocklist.expired"],
    *,
    event_id: str,
    occurred_ms: int,
    cause_account_ids: Sequence[str],
    scope: str,
    recipient: str,
    recipient_form: RecipientForm,
    data: Mapping[str, Any],
) -> Notice:
    """Return what a change of the blocklist tells to each account among its causes, and to none of the others of whom.

    Args:
        data: entry_id, change, reason, times and so on. No evidence: it may be of another account's mail.
    """
    return Notice(
        type=kind,
        event_id=event_id,
        occurred_ms=occurred_ms,
        account_ids=tuple(cause_account_ids),
        sender_domain="" if scope == "global" else scope,
        recipient=recipient,
        recipient_form=recipient_form,
        data={"scope": scope, **data},
    )


def disabled_notice(disabled: EndpointDisabled) -> Notice:
    """Return that an endpoint was disabled."""
    endpoint = disabled.endpoint
    return Notice(
        type="webhook.endpoint_disabled",
        event_id=disabled_event_id(endpoint_id=endpoint.endpoint_id, version=endpoint.version),
        occurred_ms=disabled.at_ms,
        account_ids=(endpoint.account_id,) if endpoint.account_id is not None else (),
        data={"endpoint_id": endpoint.endpoint_id, "cause": endpoint.cause},
    )


def test_notice(*, event_id: str, occurred_ms: int) -> Notice:
    """Return an event that is sent on request to one endpoint, to see whether it listens."""
    return Notice(type=TEST_TYPE, event_id=event_id, occurred_ms=occurred_ms, data={"is_test": True})
