"""Reports of feedback loops: RFC 5965 with redaction (RFC 6590, 6650), and Microsoft's older form without fields."""

import re
from typing import Final
from urllib.parse import unquote

from postloop.domain.errors import DataError
from postloop.domain.outcome import outcome_of_complaint
from postloop.domain.providers import CORPORATE, OTHER, mailbox_provider
from postloop.domain.recipient import is_redacted
from postloop.domain.reports.addresses import addresses_in
from postloop.domain.reports.fields import (
    domain_in,
    moments_of,
    report_addresses,
    verp_recipient,
    without_comments,
)
from postloop.domain.reports.headers import Headers
from postloop.domain.reports.model import ComplaintDraft, Original, ReportLimits

FEEDBACK_TYPE: Final = "message/feedback-report"
_MICROSOFT_RECIPIENT: Final = "X-HmXmrOriginalRecipient"
_MAX_LABELS: Final = 5

# An address in a parameter that is named after it; other addresses of an unsubscribe link may be the list's own.
_address_parameter: Final = re.compile(
    r"[?&;](?:e-?mail|rcpt|recipient|addr|address|to|user)=([^\s<>=/;,&?@]{1,256}@[^\s<>=/;,&?@]{1,255})",
    re.IGNORECASE,
).findall


def microsoft_fields(report: Headers, original: Original) -> Headers | None:
    """Return fields for a report of Microsoft's Junk Mail Reporting Program, None where it is none.

    It is a returned message and nothing else, with the recipient in a header of its own.
    """
    recipient = original.headers.first(_MICROSOFT_RECIPIENT) or report.first(_MICROSOFT_RECIPIENT)
    return Headers([("Feedback-Type", "abuse"), ("Original-Rcpt-To", recipient)]) if recipient else None


def is_authentication_report(fields: Headers) -> bool:
    """Return whether a server reports failed SPF, DKIM or DMARC (RFC 6591), which nobody complained with."""
    return outcome_of_complaint(_feedback_type(fields)) == "authentication_report"


def reported_domain(fields: Headers) -> str:
    """Return the sender's domain as the report names it, "" if it does not."""
    named = fields.first("Reported-Domain").strip(".").lower()
    return named if "." in named and " " not in named else domain_in(fields.first("Original-Mail-From"))


def read_feedback(
    fields: Headers, *, report: Headers, original: Original, limits: ReportLimits
) -> list[ComplaintDraft]:
    """Return a complaint for each recipient that a report names.

    Raises:
        DataError: `missing` without a feedback type or anything in place of a recipient, `too_many_recipients`.
    """
    feedback_type = _feedback_type(fields)
    if not feedback_type:
        raise DataError("missing", "feedback_type", "the report has no Feedback-Type")
    recipients = _recipients(fields, original)
    if not recipients:
        raise DataError("missing", "recipient", "the report names no recipient, not even a redacted one")
    limits.check_recipients(len(recipients))
    # Arrival-Date and its older name are when the message came, not when somebody complained.
    times = moments_of(report.first("Date"), fields.first("Arrival-Date", "Received-Date"))
    provider = _provider(report)
    return [
        ComplaintDraft(
            recipient=recipient, feedback_type=feedback_type, reporting_provider=provider, times=times
        )
        for recipient in recipients
    ]


def _feedback_type(fields: Headers) -> str:
    """Return the type in lower case without the comments that may stand around it, "" for none."""
    # Comments may be nested, or cut off: what is left of one begins with its parenthesis.
    return without_comments(fields.first("Feedback-Type")).partition("(")[0].strip().lower()


def _recipients(fields: Headers, original: Original) -> list[str]:
    """Return whom the report names, else whom the message still shows, else the redacted text as given."""
    named = _named(fields, "Original-Rcpt-To") or _named(fields, "Removal-Recipient")
    clear = [address for address in named if "@" in address and not is_redacted(address)]
    if clear:
        return list(dict.fromkeys(clear))
    shown = _shown_recipient(fields, original)
    return [shown] if shown else named[:1] or [*filter(None, [original.headers.first("To")])]


def _named(fields: Headers, name: str) -> list[str]:
    return [recipient for value in fields.all(name) for recipient in report_addresses(value)]


def _shown_recipient(fields: Headers, original: Original) -> str:
    """Return a recipient that redaction left in the message: To, the return path, the address to unsubscribe at."""
    headers = original.headers
    to = addresses_in(headers.first("To"))
    unsubscribe = set(_address_parameter(unquote(headers.first("List-Unsubscribe"))))
    candidates = (
        to[0] if len(to) == 1 else "",
        verp_recipient(fields.first("Original-Mail-From")),
        verp_recipient(headers.first("Return-Path")),
        *map(verp_recipient, addresses_in(headers.first("List-Unsubscribe").replace("mailto:", ""))),
        *(unsubscribe if len(unsubscribe) == 1 else ()),
    )
    return next((text for text in candidates if "@" in text and not is_redacted(text)), "")


def _provider(report: Headers) -> str:
    """Return who reported: a provider's name where the sending domain belongs to one, else that domain."""
    domain = domain_in(report.first("From")) or domain_in(report.first("Return-Path"))
    labels = domain.split(".")[-_MAX_LABELS:]
    parents = (".".join(labels[start:]) for start in range(len(labels) - 1))
    known = (
        provider for parent in parents if (provider := mailbox_provider(parent)) not in (CORPORATE, OTHER)
    )
    return next(known, domain)
