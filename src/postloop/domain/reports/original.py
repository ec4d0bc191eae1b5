"""The message that a report is about: what the report returned of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from postloop.domain.reports.fields import domain_in, message_id_in, moment_of
from postloop.domain.reports.headers import Headers, parse_headers
from postloop.domain.reports.mime import Part, parse_part
from postloop.domain.reports.model import Original, ReportLimits

RETURNED_TYPES: Final = frozenset(
    {
        "message/rfc822",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global",  # RFC 6533: the same with other scripts in the header
        "message/global-headers",
        "text/rfc822",
    }
)
# A report without parts puts the message behind a line of its own: Exim, qmail, Sendmail, Exchange, Postfix.
_is_marker: Final = re.compile(
    r"-{0,6} ?(?:this is a copy of (?:the|your) message|below this line is a copy of the message"
    r"|(?:the )?(?:unsent |original |returned )?message(?: headers?)?(?: follows?)? ?(?:-{3,}|:)"
    r"|original message|message headers?|returned message|undelivered message|return-path: <).*",
    re.IGNORECASE,
).fullmatch
_MAX_MARKER_CHARS: Final = 120
_MAX_TEXT_CHARS: Final = 131_072
_MAX_HEADER_CHARS: Final = 65_536


def returned_message(parts: Sequence[Part], limits: ReportLimits) -> Original:
    """Return what the last part with a message says; an empty original where none was returned.

    Raises:
        DataError: `header_too_large`.
    """
    for part in reversed(parts):
        if part.content_type in RETURNED_TYPES:
            return original_of(parse_part(part.decoded().lstrip(b"\n"), limits).headers)
    return Original()


def original_of(headers: Headers) -> Original:
    """Return id, sender domain and time of a message by its header."""
    return Original(
        message_id=message_id_in(headers.first("Message-ID", "Resent-Message-ID")),
        sender_domain=next(
            (
                domain
                for name in ("From", "Sender", "Return-Path")
                if (domain := domain_in(headers.first(name)))
            ),
            "",
        ),
        sent_at=moment_of(headers.first("Date")),
        headers=headers,
    )


def split_returned(text: str) -> tuple[str, Original]:
    """Return the text of a report without parts up to the message it returns, and that message."""
    lines = text[:_MAX_TEXT_CHARS].split("\n")
    for number, line in enumerate(lines):
        marker = line.strip()[:_MAX_MARKER_CHARS]
        if _is_marker(marker) is None:
            continue
        start = number if marker.lower().startswith("return-path") else number + 1
        block = "\n".join(lines[start : start + 400]).lstrip("\n")[:_MAX_HEADER_CHARS]
        headers = parse_headers(block.partition("\n\n")[0].encode("utf-8", "replace"))
        if headers.first("Message-ID", "From", "Return-Path"):
            return "\n".join(lines[:number]), original_of(headers)
    return text, Original()


def with_references(original: Original, report: Headers) -> Original:
    """Return the original with the id that the report answers, where the message itself was not returned.

    Gmail, Exchange and Exim name the message in In-Reply-To or References (RFC 3834 section 3.1.6).
    """
    if original.message_id:
        return original
    answered = message_id_in(report.first("In-Reply-To", "References"))
    return replace(original, message_id=answered)
