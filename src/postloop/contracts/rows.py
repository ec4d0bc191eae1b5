"""Valid events -> columns, as they are stored. The second half of the recorder's hot path.

Columns are plain lists; whoever stores them decides about Arrow or anything else. Nothing here reads the
clock: the same events give the same columns whenever they are replayed.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Literal

from postloop.contracts.address import canonical_recipient
from postloop.contracts.decode import EARLIEST
from postloop.contracts.events import Event
from postloop.contracts.organisation import mailbox_provider_of
from postloop.domain.engagement import open_kind
from postloop.domain.event_types import EventType
from postloop.domain.outcome import outcome_of_bounce, outcome_of_complaint, outcome_of_send
from postloop.domain.providers import REPORTS_COMPLAINTS

ColumnType = Literal["string", "name", "timestamp_ms", "optional_timestamp_ms", "bool", "uint16", "strings"]
"""`name` is a string with few values (a dictionary or LowCardinality pays); timestamps are aware, in UTC."""
Columns = dict[str, list[Any]]

MAX_TEXT_CHARS: Final = 8_192
"""Free text is stored up to this length and cut beyond it: a long diagnostic is real feedback."""
_RECIPIENT_CACHE_SIZE: Final = 32_768
_MAX_SENT_AHEAD: Final = timedelta(hours=24)

EVENT_COLUMNS: Final[tuple[tuple[str, ColumnType], ...]] = (
    ("event_id", "string"),
    ("occurred_at", "timestamp_ms"),
    ("account_id", "name"),
    ("message_id", "string"),
    ("sender_domain", "name"),
    ("recipient", "string"),
    ("recipient_raw", "string"),
    ("recipient_domain", "name"),
    ("recipient_valid", "bool"),
    ("mailbox_provider", "name"),
    ("reports_complaints", "bool"),
    ("schema_version", "uint16"),
    ("mail_class", "name"),
    ("ip_pool", "name"),
    ("ip_pool_kind", "name"),
    ("sent_at", "optional_timestamp_ms"),
    ("campaign_id", "name"),
    ("template_id", "name"),
    ("tags", "strings"),
    ("outcome", "name"),
    ("status", "name"),
    ("error_code", "name"),
    ("error_message", "string"),
    ("source_ip", "string"),
    ("smtp_response", "string"),
    ("remote_host", "string"),
    ("action", "name"),
    ("smtp_code", "uint16"),
    ("enhanced_code", "name"),
    ("diagnostic", "string"),
    ("smtp_command", "name"),
    ("attempt", "uint16"),
    ("feedback_type", "name"),
    ("reporting_provider", "name"),
    ("user_agent", "string"),
    ("open_kind", "name"),
    ("open_reason", "name"),
    ("method", "name"),
)
"""Every column that an event can have, in the order of the table. `client_ip` is never kept."""


def columns_of(event_type: EventType, events: Sequence[Event]) -> Columns:
    """Return the columns of a chunk of valid events of one type; columns the type cannot have are left out.

    A `sent_at` before 2000 or more than 24 h after the event itself cannot be meant and is stored as absent.
    """
    columns: Columns = {
        name: list(map(itemgetter(name), events))
        for name in ("event_id", "occurred_at", "account_id", "message_id", "sender_domain")
    }
    _add_recipients(columns, [event["recipient"] for event in events])
    columns["schema_version"] = [1] * len(events)
    columns["mail_class"] = [event.get("mail_class") or "unknown" for event in events]
    columns["ip_pool_kind"] = [event.get("ip_pool_kind") or "unknown" for event in events]
    for name in ("ip_pool", "campaign_id", "template_id"):
        columns[name] = [event.get(name) or "" for event in events]
    columns["tags"] = [event.get("tags") or () for event in events]
    columns["sent_at"] = list(map(_sent_at, events))
    _ADD_OWN[event_type](columns, events)
    return columns


def _add_recipients(columns: Columns, raw: list[str]) -> None:
    facts = list(map(_recipient_facts, raw))
    columns["recipient_raw"] = raw
    names = ("recipient", "recipient_domain", "recipient_valid", "mailbox_provider", "reports_complaints")
    for place, name in enumerate(names):
        columns[name] = [fact[place] for fact in facts]


@lru_cache(maxsize=_RECIPIENT_CACHE_SIZE)
def _recipient_facts(raw: str) -> tuple[str, str, bool, str, bool]:
    canonical, domain, valid = canonical_recipient(raw)
    provider, reports = _provider_facts(domain)
    return canonical, domain, valid, provider, reports


@lru_cache(maxsize=_RECIPIENT_CACHE_SIZE)
def _provider_facts(domain: str) -> tuple[str, bool]:
    provider = mailbox_provider_of(domain)
    return provider, provider in REPORTS_COMPLAINTS


def _sent_at(event: Event) -> datetime | None:
    sent_at: datetime | None = event.get("sent_at")
    if sent_at is None or EARLIEST <= sent_at <= event["occurred_at"] + _MAX_SENT_AHEAD:
        return sent_at
    return None


def _add_texts(columns: Columns, events: Sequence[Event], *names: str) -> None:
    for name in names:
        columns[name] = [(event.get(name) or "")[:MAX_TEXT_CHARS] for event in events]


def _add_send(columns: Columns, events: Sequence[Event]) -> None:
    columns["status"] = [event.get("status") or "accepted" for event in events]
    _add_texts(columns, events, "error_code", "error_message", "source_ip")
    columns["outcome"] = [
        outcome_of_send(status, error_code=code)
        for status, code in zip(columns["status"], columns["error_code"], strict=True)
    ]


def _add_delivery(columns: Columns, events: Sequence[Event]) -> None:
    _add_texts(columns, events, "smtp_response", "remote_host", "source_ip")
    columns["outcome"] = ["delivered"] * len(events)


def _add_bounce(columns: Columns, events: Sequence[Event]) -> None:
    columns["action"] = [event.get("action") or "failed" for event in events]
    for name in ("smtp_code", "attempt"):
        columns[name] = [event.get(name) or 0 for event in events]
    _add_texts(columns, events, "enhanced_code", "diagnostic", "smtp_command", "remote_host", "source_ip")
    columns["outcome"] = [
        outcome_of_bounce(action, smtp_code=smtp_code, enhanced_code=enhanced_code)
        for action, smtp_code, enhanced_code in zip(
            columns["action"], columns["smtp_code"], columns["enhanced_code"], strict=True
        )
    ]


def _add_complaint(columns: Columns, events: Sequence[Event]) -> None:
    _add_texts(columns, events, "feedback_type", "reporting_provider")
    columns["outcome"] = list(map(outcome_of_complaint, columns["feedback_type"]))


def _add_open(columns: Columns, events: Sequence[Event]) -> None:
    _add_texts(columns, events, "user_agent")
    verdicts = [
        # The delivery is not known here, but it came after the sending.
        open_kind(agent, since_delivery_s=None if sent_at is None else (at - sent_at).total_seconds())
        for agent, at, sent_at in zip(
            columns["user_agent"], columns["occurred_at"], columns["sent_at"], strict=True
        )
    ]
    columns["open_kind"] = [kind for kind, _ in verdicts]
    columns["open_reason"] = [reason for _, reason in verdicts]
    columns["outcome"] = ["open"] * len(events)


def _add_unsubscribe(columns: Columns, events: Sequence[Event]) -> None:
    _add_texts(columns, events, "method")
    columns["outcome"] = ["unsubscribe"] * len(events)


_ADD_OWN: Final[dict[EventType, Callable[[Columns, Sequence[Event]], None]]] = {
    "send": _add_send,
    "delivery": _add_delivery,
    "bounce": _add_bounce,
    "complaint": _add_complaint,
    "open": _add_open,
    "unsubscribe": _add_unsubscribe,
}
