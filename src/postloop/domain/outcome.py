"""What an event says about a message: the word that counts are kept by."""

import re
from typing import Final, Literal

from postloop.domain.event_types import BounceAction, SendStatus

BounceOutcome = Literal["hard_bounce", "soft_bounce", "deferral"]
ComplaintOutcome = Literal["complaint", "not_spam", "authentication_report"]

BLOCKLISTED: Final = "blocklisted"
"""`error_code` of a send that the sender itself stopped because of the blocklist."""

# not-spam, RFC 6430: the user moved the message out of the spam folder. auth-failure, RFC 6591: a server reports
# failed SPF, DKIM or DMARC. Nobody complained: senders are sent these about mail that others forge, and to count
# them would block recipients for good.
_no_complaint: Final = re.compile(
    r"(?:\([^()]*\)\s*)*(?:(not)[\s_-]*spam|auth[\s_-]*failure)\s*(?:\(.*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
).fullmatch


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

    abuse, fraud, virus and other (RFC 5965 section 7.3) all say that the recipient did not want the message. The
    two that say otherwise are also known with another sign than the hyphen, or none, between their words
    (`not_spam`), and with comments around them, which RFC 5965 section 3.5 allows: to count them would block a
    recipient who asked for the mail, for good.
    """
    found = _no_complaint(feedback_type.strip())
    if found is None:
        return "complaint"
    return "not_spam" if found[1] else "authentication_report"
