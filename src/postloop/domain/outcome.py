"""What an event says about a message: the word that counts are kept by."""

import re
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

_enhanced_class: Final = re.compile(r"\s*([245])\.\d{1,3}\.\d{1,3}").match  # RFC 3463 section 2


def outcome_of_send(status: SendStatus, *, error_code: str) -> Literal["accepted", "rejected", "suppressed"]:
    """Return what became of a send; a stop by the blocklist is suppressed, never a bounce."""
    if status == "accepted":
        return "accepted"
    return "suppressed" if error_code == BLOCKLISTED else "rejected"


def outcome_of_bounce(action: BounceAction, *, smtp_code: int, enhanced_code: str) -> BounceOutcome:
    """Return hard, soft or deferral by the reply code alone (0 and "" mean: not known).

    The reply code counts first (RFC 5321 section 4.2.1), then the class of the enhanced status. What neither
    decides is soft: a false hard bounce costs a working address, a false soft one costs another attempt.
    """
    if action == "delayed":
        return "deferral"
    if 500 <= smtp_code <= 599:
        return "hard_bounce"
    if 400 <= smtp_code <= 499:
        return "soft_bounce"
    status = _enhanced_class(enhanced_code)
    return "hard_bounce" if status and status[1] == "5" else "soft_bounce"


def outcome_of_complaint(feedback_type: str) -> ComplaintOutcome:
    """Return what a report of a feedback loop is; an unknown type is a complaint.

    abuse, fraud, virus and other (RFC 5965 section 7.3) all say that the recipient did not want the message.
    """
    return _NO_COMPLAINTS.get(feedback_type.strip().lower(), "complaint")


_NO_COMPLAINTS: Final[dict[str, ComplaintOutcome]] = {
    NOT_SPAM: "not_spam",
    AUTH_FAILURE: "authentication_report",
}
