"""One message -> what it reports. The order of looking is from the form that says most to the one that says least."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.reports import arf, dsn, plain
from postloop.domain.reports.auto_reply import is_auto_reply, is_for_a_person
from postloop.domain.reports.headers import Headers
from postloop.domain.reports.mime import Part, leaves, parse_part
from postloop.domain.reports.model import (
    DEFAULT_LIMITS,
    BounceDraft,
    DraftError,
    Report,
    ReportLimits,
    SkipReason,
)
from postloop.domain.reports.notice import Notice
from postloop.domain.reports.original import returned_message, split_returned, with_references

_READ_RECEIPT: Final = "message/disposition-notification"
_REPORT_TYPES: Final = frozenset({"delivery-status", "feedback-report"})
_before_header: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?(?:[ \t]*+\n)*+").sub


def read_report(raw: bytes, limits: ReportLimits = DEFAULT_LIMITS) -> Report:
    """Return what a message reports.

    Of a message above the limit the beginning is read, where a report's own parts are.

    Raises:
        DataError: The message is none, breaks a limit, or says that it is a report and is not readable as one.
    """
    is_cut = len(raw) > limits.max_message_bytes
    try:
        return _read(raw[: limits.max_message_bytes].replace(b"\r\n", b"\n"), limits)
    except DataError as error:
        if is_cut:
            text = f"the message has more than {limits.max_message_bytes} bytes, and in those: {error.text}"
            raise DataError("too_large", error.field, text) from None
        raise


def _read(raw: bytes, limits: ReportLimits) -> Report:
    # An editor's byte order mark, or blank lines of whoever cut the message out: its header begins behind them.
    message = parse_part(_before_header(b"", raw, count=1), limits)
    if not message.headers:
        raise DataError("not_a_message", "", "no header field in it")
    parts = leaves(message, limits)
    for reader in (_feedback, _status, _receipt, _microsoft, _notice):
        report = reader(message, parts, limits)
        if report is not None:
            return report
    return _skipped(message, "auto_reply" if is_auto_reply(message.headers) else "not_a_report")


def _feedback(message: Part, parts: Sequence[Part], limits: ReportLimits) -> Report | None:
    fields_part = next((part for part in parts if part.content_type == arf.FEEDBACK_TYPE), None)
    if fields_part is None:
        return None
    return _complaints(message, parts, dsn.first_fields(fields_part), limits)


def _microsoft(message: Part, parts: Sequence[Part], limits: ReportLimits) -> Report | None:
    fields = arf.microsoft_fields(message.headers, returned_message(parts, limits))
    return None if fields is None else _complaints(message, parts, fields, limits)


def _complaints(message: Part, parts: Sequence[Part], fields: Headers, limits: ReportLimits) -> Report:
    if arf.is_authentication_report(fields):
        return _skipped(message, "authentication_report")
    original = returned_message(parts, limits)
    original = replace(original, sender_domain=original.sender_domain or arf.reported_domain(fields))
    complaints = arf.read_feedback(fields, report=message.headers, original=original, limits=limits)
    return Report(
        kind="arf",
        identity=_identity(message),
        original=original,
        headers=message.headers,
        drafts=tuple(enumerate(complaints)),
    )


def _status(message: Part, parts: Sequence[Part], limits: ReportLimits) -> Report | None:
    status = next((part for part in parts if part.content_type in dsn.STATUS_TYPES), None)
    if status is None:
        if message.report_type in _REPORT_TYPES:
            raise DataError("no_report_part", "", f"a {message.report_type} without the part that holds it")
        return None
    text = next((part for part in parts if part.content_type == "text/plain"), None)
    original = with_references(returned_message(parts, limits), message.headers)
    original = replace(original, message_id=original.message_id or dsn.named_message(status))
    told = list(
        dsn.read_status(
            status,
            notice=Notice(text.text() if text else ""),
            charset=text.charset if text else "",
            report=message.headers,
            limits=limits,
        )
    )
    return Report(
        kind="dsn",
        identity=_identity(message),
        original=original,
        headers=message.headers,
        drafts=tuple((index, draft) for index, draft in told if isinstance(draft, BounceDraft)),
        skipped=tuple(reason for _, reason in told if isinstance(reason, str)),
        errors=tuple(error for _, error in told if isinstance(error, DraftError)),
    )


def _receipt(message: Part, parts: Sequence[Part], limits: ReportLimits) -> Report | None:
    is_receipt = any(part.content_type == _READ_RECEIPT for part in parts)
    return _skipped(message, "read_receipt") if is_receipt else None


def _notice(message: Part, parts: Sequence[Part], limits: ReportLimits) -> Report | None:
    """Read a bounce that is only text."""
    # An answer for a person has no return path either (RFC 3834 section 3.3).
    if not plain.is_from_mail_system(message.headers) or is_for_a_person(message.headers):
        return None
    text = next((part.text() for part in parts if part.content_type == "text/plain"), "")
    notice, quoted = split_returned(text)
    returned = returned_message(parts, limits)
    said = Notice(notice)
    drafts = plain.read_notice(message.headers, said, limits)
    errors = plain.unread(message.headers, said)
    if not drafts and not errors:
        return None
    return Report(
        kind="dsn",
        identity=_identity(message),
        original=with_references(returned if returned.headers else quoted, message.headers),
        headers=message.headers,
        drafts=tuple(enumerate(drafts)),
        errors=errors,
    )


def _skipped(message: Part, reason: SkipReason) -> Report:
    return Report(kind="none", identity=_identity(message), headers=message.headers, skipped=(reason,))


def _identity(message: Part) -> tuple[str, ...]:
    """Return what names a report in every mailbox: its id and date, or its content where it has not both.

    Fields that mail servers add on the way, line ends and the quoting of mailboxes do not change it.
    """
    named = (message.headers.first("Message-ID"), message.headers.first("Date"))
    if all(named):
        return named
    content = b"\n".join(line.lstrip(b">").rstrip() for line in message.body.split(b"\n") if line.strip())
    return (*named, hashlib.sha256(content).hexdigest())
