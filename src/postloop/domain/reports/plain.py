"""Bounces without the form of RFC 3464: Exim, qmail, and older Sendmail, Postfix, Exchange and Gmail.

Only what a mail system sent is read, and only where a line of its own names the recipient: a person who quotes a
bounce must not become one.
"""

import re
from typing import Final

from postloop.domain.errors import DataError
from postloop.domain.event_types import BounceAction
from postloop.domain.reports.addresses import addresses_in
from postloop.domain.reports.fields import enhanced_status, moments_of, reply_code
from postloop.domain.reports.headers import Headers, decoded_words
from postloop.domain.reports.model import MAX_TEXT_CHARS, BounceDraft, DraftError, ReportLimits
from postloop.domain.reports.notice import MAX_NOTICE_CHARS, Notice, remote_host, smtp_command

FAILED_RECIPIENTS: Final = "X-Failed-Recipients"  # Exim, and Gmail before it had reports
_is_system: Final = re.compile(
    r"\s*<?(?:mailer-?daemon|postmaster|mail-?daemon|mdaemon)@?", re.IGNORECASE
).match
_names_system: Final = re.compile(r"mail delivery (?:sub)?system|mail administrator", re.IGNORECASE).search
_says_failed: Final = re.compile(
    r"undeliver|returned mail|delivery (?:status|failure|has failed|notification)|failure notice"
    r"|could ?n(?:o|')t be delivered|mail delivery failed|delayed",
    re.IGNORECASE,
).search
# Nobody's mailbox: such a line tells whom to ask.
_is_contact: Final = re.compile(r"(?:postmaster|mailer-daemon|abuse|helpdesk|support)@", re.IGNORECASE).match

# Phrases in lower case that stand before the recipients. Temporary ones first: Sendmail's and Exim's warnings
# quote the same words.
_FRAMES: Final[tuple[tuple[BounceAction, tuple[str, ...]], ...]] = (
    (
        "delayed",
        (
            "has not yet been delivered",  # Exim: "The address to which the message has not yet been delivered is"
            "this is a warning message only",  # Sendmail
            "had transient non-fatal errors",  # Sendmail
            "has been delayed",  # Exchange
            "will be retried for",  # Gmail: "Delivery to the following recipient has been delayed ... will be retried"
        ),
    ),
    (
        "failed",
        (
            "following address(es) failed",  # Exim
            "had permanent fatal errors",  # Sendmail
            "following recipient failed permanently",  # Gmail before 2016
            "following recipients failed",  # Microsoft's SMTP service
            "following recipient(s) could not be reached",  # Exchange 5.5 to 2003
            "following recipient(s) cannot be reached",
            "couldn't be delivered to the following",  # Exchange Online
            "wasn't able to deliver your message to the following addresses",  # qmail
            "could not be delivered to one or more",  # Postfix, Exim
            "did not reach the following recipient",  # Exchange, Lotus Domino
        ),
    ),
)


def is_from_mail_system(headers: Headers) -> bool:
    """Return whether a mail system wrote the message: no return path, or the names that such systems use."""
    sender = headers.first("From")
    addresses = addresses_in(sender)
    return (
        headers.has(FAILED_RECIPIENTS)
        or headers.first("Return-Path").replace(" ", "") == "<>"
        or any(_is_system(address) for address in addresses)
        or (not addresses and _is_system(sender) is not None)
        or _names_system(sender) is not None
    )


def read_notice(headers: Headers, notice: Notice, limits: ReportLimits) -> list[BounceDraft]:
    """Return what a mail system's text says of each recipient; none where it is about something else.

    Raises:
        DataError: `no_recipient`, it reports a failure and names nobody; `too_many_recipients`.
    """
    action, told = _told(headers, notice, limits)
    if not told and _says_failed(decoded_words(headers.first("Subject"))):
        raise DataError("no_recipient", "recipient", "a mail system reports a failure and names no recipient")
    times = moments_of(headers.first("Date"))
    # A transcript of the session stands apart from the recipients: with one recipient it is theirs.
    transcript = notice.text if len(told) == 1 else ""
    return [
        BounceDraft(
            recipient=recipient,
            action=action,
            smtp_code=reply_code(reason),
            enhanced_code=enhanced_status(reason),
            diagnostic=reason[:MAX_TEXT_CHARS],
            smtp_command=smtp_command(reason) or smtp_command(transcript),
            remote_host=remote_host(reason) or remote_host(transcript),
            times=times,
        )
        for recipient, reason in told.items()
    ]


def unread(headers: Headers, notice: Notice) -> tuple[DraftError, ...]:
    """Return why somebody whom the text names is no draft: they stand behind what is read of it."""
    if headers.has(FAILED_RECIPIENTS) or not notice.names_more():
        return ()
    text = f"the text names more recipients behind its first {MAX_NOTICE_CHARS:,} characters"
    return (DraftError(None, "too_large", "recipient", text),)


def _told(headers: Headers, notice: Notice, limits: ReportLimits) -> tuple[BounceAction, dict[str, str]]:
    """Return what happened, and who is named with what was said of them.

    Raises:
        DataError: `too_many_recipients`.
    """
    action = _said_action(notice.text)
    # Exim begins another such header where one is full.
    failed = [address for value in headers.all(FAILED_RECIPIENTS) for address in addresses_in(value)]
    limits.check_recipients(len(failed))
    told = {
        address: reason or notice.reason_for(address)
        for address, reason in notice.told.items()
        if not _is_contact(address) or reply_code(reason)
    }
    # No phrase that is known: another language, another server. Then a recipient needs a reply behind the name. So do
    # those whom the header does not name, which is made to name all.
    if failed or action is None:
        told = {address: said for address, said in told.items() if reply_code(said)}
    if failed:
        named = {address.lower() for address in failed}
        others = {address: said for address, said in told.items() if address.lower() not in named}
        told = {address: notice.reason_for(address) for address in failed} | others
    limits.check_recipients(len(told))
    return action or "failed", told


def _said_action(notice: str) -> BounceAction | None:
    """Return what the first known phrase says, however its words are spread over lines."""
    plain = " ".join(notice.lower().split())
    return next((action for action, phrases in _FRAMES if any(phrase in plain for phrase in phrases)), None)
