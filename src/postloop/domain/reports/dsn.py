"""Delivery status notifications: RFC 3464, and RFC 6533 for addresses in other scripts."""

import re
from collections.abc import Iterator
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.event_types import BounceAction
from postloop.domain.reports.fields import (
    enhanced_status,
    moments_of,
    reply_code,
    report_addresses,
    typed_value,
    without_comments,
)
from postloop.domain.reports.headers import Headers, parse_headers
from postloop.domain.reports.mime import Part
from postloop.domain.reports.model import MAX_TEXT_CHARS, BounceDraft, DraftError, ReportLimits, SkipReason
from postloop.domain.reports.notice import Notice, remote_host, smtp_command

STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})

_BOUNCES: Final[dict[str, BounceAction]] = {
    "failed": "failed",
    "failure": "failed",  # Lotus Domino
    "delayed": "delayed",
}
_SUCCESSES: Final[dict[str, SkipReason]] = {
    "delivered": "delivered",
    "relayed": "relayed",
    "expanded": "expanded",
}
_OF_RECIPIENT: Final = ("Final-Recipient", "Original-Recipient", "Action", "Status")
_blank_lines: Final = re.compile(rb"\n[ \t]*(?:\n[ \t]*)+")
_before_recipient: Final = re.compile(rb"\n(?=final-recipient:)", re.IGNORECASE)


def read_status(
    part: Part, *, notice: Notice, charset: str, report: Headers, limits: ReportLimits
) -> Iterator[tuple[int, BounceDraft | SkipReason | DraftError]]:
    """Yield what a delivery status says of each recipient, with their place.

    `notice` is the part for people: it often names the refused command, which no field of RFC 3464 does.
    `charset` is that part's: servers quote replies in it here too, where RFC 3464 allows ASCII only.

    Raises:
        DataError: `no_recipient`, `too_many_recipients`.
    """
    message, recipients = Headers(), list[tuple[str, Headers]]()
    for block in _blocks(part, charset=part.charset or charset):
        if any(block.has(name) for name in _OF_RECIPIENT):
            recipients += [(recipient, block) for recipient in _addresses(block) or [""]]
            limits.check_recipients(len(recipients))
        else:
            message = message or block
    if not recipients:
        raise DataError("no_recipient", "recipient", "the delivery status names no recipient")
    for index, (recipient, block) in enumerate(recipients):
        yield index, _recipient(index, recipient, block, message, notice=notice, report=report)


def named_message(part: Part) -> str:
    """Return what the status names the message by: its id (Gmail), or the ENVID of RFC 3461; "" for nothing."""
    blocks = list(_blocks(part))
    names = ("X-Original-Message-ID", "Original-Envelope-Id")
    return next((found for name in names for block in blocks if (found := block.first(name))), "").strip("<>")


def first_fields(part: Part) -> Headers:
    """Return the fields of a part that is one group of them, as a feedback report is."""
    return next(_blocks(part, charset=part.charset), Headers())


def _blocks(part: Part, *, charset: str = "") -> Iterator[Headers]:
    """Yield the groups of fields; some servers forget the blank line between recipients."""
    for block in _blank_lines.split(part.decoded().strip(b"\n")):
        has_several = len(_before_recipient.findall(b"\n" + block)) > 1
        for piece in _before_recipient.split(block) if has_several else [block]:
            headers = parse_headers(piece, charset=charset)
            if headers:
                yield headers


def _recipient(
    index: int, recipient: str, block: Headers, message: Headers, *, notice: Notice, report: Headers
) -> BounceDraft | SkipReason | DraftError:
    if not recipient:
        return DraftError(index, "missing", "recipient", "the report names no recipient")
    kind, diagnostic = typed_value(block.first("Diagnostic-Code"))
    said = notice.reason_for(recipient)
    diagnostic = diagnostic or said
    status = enhanced_status(block.first("Status")) or enhanced_status(diagnostic)
    code = reply_code(diagnostic)
    done = without_comments(block.first("Action")).lower() or _implied_action(
        block, status[:1] or str(code)[:1]
    )
    if done in _SUCCESSES:
        return _SUCCESSES[done]
    action = _BOUNCES.get(done)
    if action is None:
        text = (
            f"no action of RFC 3464: {done[:40]!r}" if done else "the report says neither action nor status"
        )
        return DraftError(index, "unknown_value" if done else "missing", "action", text)
    return BounceDraft(
        recipient=recipient,
        action=action,
        smtp_code=code,
        enhanced_code=status,
        # x-unix and the like are not a server's reply: a delivery program said that.
        diagnostic=(diagnostic if kind in ("", "smtp") else f"{kind}; {diagnostic}")[:MAX_TEXT_CHARS],
        smtp_command=smtp_command(said) or smtp_command(diagnostic),
        remote_host=_host(block) or remote_host(said),
        times=moments_of(
            block.first("Last-Attempt-Date"),
            report.first("Date"),
            block.first("Arrival-Date") or message.first("Arrival-Date"),
        ),
    )


def _addresses(block: Headers) -> list[str]:
    """Return whom the message was sent to: the original recipient, where a server forwarded it on.

    It is what the sender knows and can stop mailing to (RFC 3464 section 2.3.1). More than one is a list where the
    RFC has room for one.
    """
    kind, original = typed_value(block.first("Original-Recipient"))
    if kind in ("", "rfc822", "utf-8") and "@" in original:
        return report_addresses(block.first("Original-Recipient"))
    return report_addresses(block.first("Final-Recipient")) or report_addresses(
        block.first("Original-Recipient")
    )


def _implied_action(block: Headers, reply_class: str) -> str:
    """Return what a status means where no action is told (RFC 3463 section 3), "" where nothing is."""
    if reply_class == "4" and block.has("Will-Retry-Until"):
        return "delayed"
    return {"2": "delivered", "4": "failed", "5": "failed"}.get(reply_class, "")


def _host(block: Headers) -> str:
    """Return the server that refused, without its type (`dns;`), its address and comments."""
    name = without_comments(typed_value(block.first("Remote-MTA"))[1])
    return name.split(" ")[0].rstrip(".").lower()
