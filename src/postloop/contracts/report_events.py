"""Raw reports -> records of the input topics, and dead letters for what cannot be read.

What a report cannot know (the account, sometimes the sender's domain) is told beside it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from postloop.contracts.deadletter import DeadLetterV1, dead_letter
from postloop.contracts.decode import EARLIEST, Limits, Stage, decode_record
from postloop.contracts.field_errors import FieldError
from postloop.domain.errors import DataError
from postloop.domain.event_types import EventType
from postloop.domain.reports.fields import report_addresses
from postloop.domain.reports.model import (
    DEFAULT_LIMITS,
    BounceDraft,
    ComplaintDraft,
    Report,
    ReportKind,
    SkipReason,
)
from postloop.domain.reports.reading import read_report

IMPORT_TOPIC_PREFIX: Final = "import:"
"""A dead letter of an import names its format behind this instead of a topic. No Kafka topic has a colon."""

_address_domain: Final = re.compile(r"[^\s<>,@]@([A-Za-z0-9.-]{1,253})").search
_NAMESPACE: Final = UUID("0b8a5f52-7f0e-5c1b-9c39-5d6f0c4e7a21")
_WRONG_KIND: Final[dict[ReportKind, tuple[str, str]]] = {
    "dsn": ("not_a_dsn", "no delivery status notification"),
    "arf": ("not_an_arf", "no report of a feedback loop"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Whose mail the reports are about. A header counts where the returned message, or the report, has it."""

    account: str = ""
    account_header: str = ""
    sender_domain: str = ""
    message_id_header: str = ""
    recipient_header: str = ""


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """One event as it goes to its topic."""

    event_type: EventType
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a report, or the recipient at place `index` of it, is no event."""

    index: int | None
    stage: Stage
    errors: tuple[FieldError, ...]


@dataclass(slots=True)
class DecodedReport:
    """What became of one message: every recipient it names is a record, skipped, or refused."""

    records: list[ReportRecord] = field(default_factory=list)
    skipped: tuple[SkipReason, ...] = ()
    refusals: list[Refusal] = field(default_factory=list)


def decode_report(
    raw: bytes,
    attribution: Attribution,
    *,
    now: datetime,
    wanted: Literal["dsn", "arf"] | None = None,
    received_at: datetime | None = None,
    limits: Limits,
) -> DecodedReport:
    """Return the events of one message; never raises, whatever the bytes are.

    Args:
        wanted: The kind that the message must be; None takes both and skips other mail.
        received_at: When it arrived, for a report without a usable date.
    """
    try:
        report = read_report(raw)
    except DataError as error:
        return DecodedReport(refusals=[Refusal(None, "decode", (_field_error(error),))])
    if wanted is not None and report.kind != wanted:
        return DecodedReport(refusals=[Refusal(None, "decode", (_wrong_kind(wanted, report),))])
    decoded = DecodedReport(skipped=report.skipped)
    decoded.refusals += [
        Refusal(unread.index, "validate", (FieldError(unread.code, unread.field, unread.text),))
        for unread in report.errors
    ]
    for index, draft in report.drafts:
        event_type: EventType = "bounce" if isinstance(draft, BounceDraft) else "complaint"
        event = _event(draft, report, attribution, fallbacks=(received_at, now), now=now, limits=limits)
        value = json.dumps(event, ensure_ascii=False).encode()
        checked = decode_record(event_type, value, now=now, limits=limits)
        decoded.refusals += [Refusal(index, error.stage, error.errors) for error in checked.errors]
        if checked.events:
            decoded.records.append(ReportRecord(event_type, event["recipient"].encode(), value))
    return decoded


def report_dead_letters(
    raw: bytes, refusals: Sequence[Refusal], *, source: str, at: datetime
) -> Iterator[DeadLetterV1]:
    """Yield the dead letter of each refusal.

    A file has neither partition nor offset: both are 0, and the digest of the bytes stands where a record has the
    id of its topic. Importing the same message again repeats the letter's id. `source` is the format.
    """
    for refusal in refusals:
        yield dead_letter(
            topic_id=report_topic_id(raw),
            topic=f"{IMPORT_TOPIC_PREFIX}{source}",
            partition=0,
            offset=0,
            index=refusal.index,
            key=None,
            value=raw[: DEFAULT_LIMITS.max_message_bytes],
            stage=refusal.stage,
            errors=refusal.errors,
            at=at,
        )


def report_topic_id(raw: bytes) -> str:
    """Return what tells one message from another where a record has the id of its topic."""
    return hashlib.sha256(raw[: DEFAULT_LIMITS.max_message_bytes]).hexdigest()[:32]


def _field_error(error: DataError) -> FieldError:
    return FieldError(error.code, error.field, error.text)


def _wrong_kind(wanted: ReportKind, report: Report) -> FieldError:
    code, text = _WRONG_KIND[wanted]
    found = {"dsn": "a delivery report", "arf": "a complaint"}.get(report.kind) or ", ".join(report.skipped)
    return FieldError(code, "", f"{text}: {found}")


def _event(
    draft: BounceDraft | ComplaintDraft,
    report: Report,
    attribution: Attribution,
    *,
    fallbacks: Sequence[datetime | None],
    now: datetime,
    limits: Limits,
) -> dict[str, Any]:
    """Return the fields of an event as JSON values; what nobody knows is left out."""
    original = report.original
    # A recipient whose mail arrived is no draft, and may be the one that the header names.
    is_only = report.recipient_count == 1
    recipient = (is_only and _told_recipient(attribution, report)) or draft.recipient
    message_id = _header(attribution.message_id_header, report).strip("<>") or original.message_id
    event_id = _event_id(draft, report)
    moment = next(
        moment
        for moment in (*draft.times, *fallbacks)
        if moment is not None and EARLIEST <= moment <= now + limits.max_ahead
    )
    event: dict[str, Any] = {
        "event_id": event_id,
        "occurred_at": moment.isoformat(),
        "account_id": _header(attribution.account_header, report) or attribution.account,
        # Nobody knows the message: a name of its own keeps it apart from every other.
        "message_id": message_id or f"report-{event_id}",
        "sender_domain": original.sender_domain or attribution.sender_domain or _bounce_domain(draft, report),
        "recipient": recipient,
        "sent_at": original.sent_at.isoformat() if original.sent_at else None,
        **_own_fields(draft),
    }
    return {name: value for name, value in event.items() if value not in ("", 0, None)}


def _bounce_domain(draft: BounceDraft | ComplaintDraft, report: Report) -> str:
    """Return the domain that a bounce was sent to: that of the envelope sender (RFC 5321 section 3.6.3)."""
    if isinstance(draft, ComplaintDraft):  # it goes to the address that was registered for the feedback loop
        return ""
    found = _address_domain(report.headers.first("To"))
    return found[1].lower() if found else ""


def _own_fields(draft: BounceDraft | ComplaintDraft) -> dict[str, Any]:
    if isinstance(draft, ComplaintDraft):
        return {"feedback_type": draft.feedback_type, "reporting_provider": draft.reporting_provider}
    names = ("action", "smtp_code", "enhanced_code", "diagnostic", "smtp_command", "remote_host")
    return {name: getattr(draft, name) for name in names}


def _event_id(draft: BounceDraft | ComplaintDraft, report: Report) -> str:
    """Return a UUIDv5 of the report, the recipient and what it says of them: importing it again repeats it.

    Neither who imported it and when goes in, nor a field that a later version might read better.
    """
    said = draft.action if isinstance(draft, BounceDraft) else draft.feedback_type
    facts = [*report.identity, draft.recipient, said]
    return str(uuid5(_NAMESPACE, json.dumps(facts)))


def _told_recipient(attribution: Attribution, report: Report) -> str:
    """Return the recipient that the sender's own header names; "" where it names none, or several."""
    named = report_addresses(_header(attribution.recipient_header, report))
    return named[0] if len(named) == 1 else ""


def _header(name: str, report: Report) -> str:
    """Return a header of the returned message, else of the report; "" for none or no name."""
    return (report.original.headers.first(name) or report.headers.first(name)) if name else ""
