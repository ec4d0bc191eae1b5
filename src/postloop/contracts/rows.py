"""Valid events -> columns, as they are stored. The second half of the recorder's hot path.

Columns are plain lists; whoever stores them decides about Arrow or anything else. Nothing here reads the
clock: the same events give the same columns whenever they are replayed.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple

from postloop.contracts.address import canonical_recipient
from postloop.contracts.decode import EARLIEST
from postloop.contracts.events import Event
from postloop.contracts.organisation import mailbox_provider_of
from postloop.contracts.verdicts import BOUNCE_INPUTS, BounceColumns, bounce_verdict, rejection_cause
from postloop.domain.engagement import open_kind
from postloop.domain.event_types import EventType
from postloop.domain.outcome import outcome_of_complaint, outcome_of_send
from postloop.domain.providers import REPORTS_COMPLAINTS

ColumnType = Literal[
    "string", "name", "timestamp_ms", "optional_timestamp_ms", "bool", "uint16", "float32", "strings"
]
"""`name` is a string with few values (a dictionary or LowCardinality pays); timestamps are aware, in UTC."""
Columns = dict[str, list[Any]]

MAX_TEXT_CHARS: Final = 8_192
"""Free text is stored up to this length and cut beyond it: a long diagnostic is real feedback."""
_RECIPIENT_CACHE_SIZE: Final = 32_768
MAX_SENT_AHEAD: Final = timedelta(hours=24)

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
    ("reason", "name"),
    ("hard", "bool"),
    ("fault", "name"),
    ("rule", "name"),
    ("confidence", "float32"),
    ("rules_version", "name"),
    ("cause", "name"),
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
    columns["sent_at"] = list(map(_sent_at, events))
    for name, default in defaults_of_columns(event_type).items():
        columns[name] = [event.get(name) or default for event in events]
    for name in LONG_TEXTS & columns.keys():
        columns[name] = [text[:MAX_TEXT_CHARS] for text in columns[name]]
    known = {**columns, "since_sent_s": _since_sent_s(columns) if event_type == "open" else []}
    derived = derived_of(event_type, [known[name] for name in DERIVED_FROM[event_type]], count=len(events))
    return {**columns, **derived}


_ENVELOPE_DEFAULTS: Final[dict[str, Any]] = {
    "mail_class": "unknown",
    "ip_pool_kind": "unknown",
    "ip_pool": "",
    "campaign_id": "",
    "template_id": "",
    "tags": (),
}
_OWN_DEFAULTS: Final[dict[EventType, dict[str, Any]]] = {
    "send": {"status": "accepted", "error_code": "", "error_message": "", "source_ip": ""},
    "delivery": {"smtp_response": "", "remote_host": "", "source_ip": ""},
    "bounce": {
        "action": "failed",
        "smtp_code": 0,
        "attempt": 0,
        "enhanced_code": "",
        "diagnostic": "",
        "smtp_command": "",
        "remote_host": "",
        "source_ip": "",
    },
    "complaint": {"feedback_type": "", "reporting_provider": ""},
    "open": {"user_agent": ""},
    "unsubscribe": {"method": ""},
}
# Identifiers and labels are short by contract.
LONG_TEXTS: Final = frozenset(
    name
    for own in _OWN_DEFAULTS.values()
    for name, default in own.items()
    if default == "" and name not in ("status", "action")
)
"""Columns that are cut at MAX_TEXT_CHARS."""


def defaults_of_columns(event_type: EventType) -> dict[str, Any]:
    """Return the columns that are stored as they were sent, with what stands for absent, null and empty."""
    return _ENVELOPE_DEFAULTS | _OWN_DEFAULTS[event_type]


DERIVED_FROM: Final[dict[EventType, tuple[str, ...]]] = {
    "send": ("status", "error_code", "error_message"),
    "delivery": (),
    "bounce": BOUNCE_INPUTS,
    "complaint": ("feedback_type",),
    "open": ("user_agent", "since_sent_s"),
    "unsubscribe": (),
}
"""The columns that the verdicts of an event type depend on; `since_sent_s` is the time from sending to the event."""


def derived_of(event_type: EventType, inputs: Sequence[Sequence[Any]], *, count: int) -> Columns:
    """Return the columns that are verdicts: the outcome, why mail bounced or was rejected, and who opened.

    Args:
        event_type: Of all events.
        inputs: The columns that DERIVED_FROM names, with defaults in the place of what is absent.
        count: Number of events.
    """
    return _DERIVE[event_type](inputs, count)


def _derive_send(inputs: Sequence[Sequence[Any]], count: int) -> Columns:
    statuses, codes, messages = inputs
    outcomes = [outcome_of_send(s, error_code=code) for s, code in zip(statuses, codes, strict=True)]
    causes = [
        rejection_cause(code, message) if outcome == "rejected" else ""
        for outcome, code, message in zip(outcomes, codes, messages, strict=True)
    ]
    return {"outcome": outcomes, "cause": causes}


def _derive_bounce(inputs: Sequence[Sequence[Any]], count: int) -> Columns:
    verdicts = [bounce_verdict(*one) for one in zip(*inputs, strict=True)]
    return {
        name: [verdict[place] for verdict in verdicts] for place, name in enumerate(BounceColumns._fields)
    }


def _derive_open(inputs: Sequence[Sequence[Any]], count: int) -> Columns:
    # The delivery is not known here, but it came after the sending.
    verdicts = [open_kind(agent, since_delivery_s=since) for agent, since in zip(*inputs, strict=True)]
    return {
        "open_kind": [kind for kind, _ in verdicts],
        "open_reason": [reason for _, reason in verdicts],
        "outcome": ["open"] * count,
    }


_DERIVE: Final[dict[EventType, Callable[[Sequence[Sequence[Any]], int], Columns]]] = {
    "send": _derive_send,
    "delivery": lambda _, count: {"outcome": ["delivered"] * count},
    "bounce": _derive_bounce,
    "complaint": lambda inputs, _: {"outcome": list(map(outcome_of_complaint, inputs[0]))},
    "open": _derive_open,
    "unsubscribe": lambda _, count: {"outcome": ["unsubscribe"] * count},
}


def _add_recipients(columns: Columns, raw: list[str]) -> None:
    facts = list(map(recipient_facts, raw))
    for place, name in enumerate(RecipientFacts._fields):
        columns[name] = [fact[place] for fact in facts]


class RecipientFacts(NamedTuple):
    """What is stored of a recipient; `recipient_raw` is empty where the canonical form says the same."""

    recipient: str
    recipient_raw: str
    recipient_domain: str
    recipient_valid: bool
    mailbox_provider: str
    reports_complaints: bool


@lru_cache(maxsize=_RECIPIENT_CACHE_SIZE)
def recipient_facts(raw: str) -> RecipientFacts:
    """Return what is stored of a recipient that was given as `raw`."""
    canonical, domain, valid = canonical_recipient(raw)
    provider, reports = provider_facts(domain)
    return RecipientFacts(canonical, "" if raw == canonical else raw, domain, valid, provider, reports)


@lru_cache(maxsize=_RECIPIENT_CACHE_SIZE)
def provider_facts(domain: str) -> tuple[str, bool]:
    """Return the mailbox provider of a domain, and whether it reports complaints."""
    provider = mailbox_provider_of(domain)
    return provider, provider in REPORTS_COMPLAINTS


def _sent_at(event: Event) -> datetime | None:
    sent_at: datetime | None = event.get("sent_at")
    if sent_at is None or EARLIEST <= sent_at <= event["occurred_at"] + MAX_SENT_AHEAD:
        return sent_at
    return None


def _since_sent_s(columns: Columns) -> list[float | None]:
    return [
        None if sent_at is None else (at - sent_at).total_seconds()
        for at, sent_at in zip(columns["occurred_at"], columns["sent_at"], strict=True)
    ]
