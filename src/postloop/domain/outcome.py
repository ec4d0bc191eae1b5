"""What an event says about a message: the word that counts are kept by."""

from typing import Final, Literal

from postloop.domain.event_types import BounceAction, SendStatus

BounceOutcome = Literal["hard_bounce", "soft_bounce", "deferral"]
ComplaintOutcome = Literal["complaint", "not_spam", "authentication_report"]

BLOCKLISTED: Final = "blocklisted"
"""`error_code` of a send that the sender itself stopped because of the blocklist."""
NOT_SPAM: Final = "not-spam"
"""Feedback type of RFC 6430: the user moved the message out of the spam folder."""
AUTH_FAILURE: Final = "auth-failure"
"""Feedback type of RFC 6591: a server reports failed SPF, DKIM or DMARC. Nobody complained: senders are sent these
about mail that others forge, and to count them would block recipients for good."""


def outcome_of_send(status: SendStatus, *, error_code: str) -> Literal["accepted", "rejected", "suppressed"]:
    """Return what became of a send; a stop by the blocklist is suppressed, never a bounce."""
    if status == "accepted":
        return "accepted"
    return "suppressed" if error_code == BLOCKLISTED else "rejected"


def outcome_of_bounce(action: BounceAction, *, hard: bool) -> BounceOutcome:
    """Return what a bounce counts as; `hard` is the classifier's verdict.

    What is still tried is a deferral whatever was said: it never counts as a bounce.
    """
    if action == "delayed":
        return "deferral"
    return "hard_bounce" if hard else "soft_bounce"


def outcome_of_complaint(feedback_type: str) -> ComplaintOutcome:
    """Return what a report of a feedback loop is; an unknown type is a complaint.

    abuse, fraud, virus and other (RFC 5965 section 7.3) all say that the recipient did not want the message.
    """
    return _NO_COMPLAINTS.get(feedback_type.strip().lower(), "complaint")


_NO_COMPLAINTS: Final[dict[str, ComplaintOutcome]] = {
    NOT_SPAM: "not_spam",
    AUTH_FAILURE: "authentication_report",
}
