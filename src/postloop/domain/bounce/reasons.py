"""Why a message was not delivered: the closed list of reasons, whose side each is on, and which can be hard."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Reason = Literal[
    "user_unknown",
    "host_unknown",
    "recipient_filtered",
    "mailbox_full",
    "mailbox_disabled",
    "spam_content",
    "content_rejected",
    "sender_blocked",
    "auth_failure",
    "policy",
    "rate_limited",
    "too_large",
    "greylisted",
    "network",
    "system_error",
    "expired",
    "relay_denied",
    "protocol_error",
    "tls",
    "suppressed",
    "auto_reply",
    "unknown",
]
Fault = Literal["recipient", "sender", "infrastructure", "unknown"]

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class ReasonFacts:
    """What is true of every bounce with a reason.

    Attributes:
        fault: Whose side the cause is on.
        can_be_hard: Whether the address may be given up for it at once. Where it may, a temporary reply still is not.
        meaning: One line for a person.
    """

    fault: Fault
    can_be_hard: bool
    meaning: str


FACTS: Final[dict[Reason, ReasonFacts]] = {
    "user_unknown": ReasonFacts(
        "recipient", True, "The domain has no such mailbox, or the person moved away."
    ),
    "host_unknown": ReasonFacts(
        "recipient", True, "The recipient's domain does not exist or declares that it takes no mail."
    ),
    "recipient_filtered": ReasonFacts(
        "recipient", False, "The recipient, or a rule of the mailbox or group, does not want this mail."
    ),
    "mailbox_full": ReasonFacts("recipient", False, "The mailbox has no room left."),
    "mailbox_disabled": ReasonFacts(
        "recipient", False, "The account exists and is switched off, locked, suspended or unused."
    ),
    "spam_content": ReasonFacts("sender", False, "A filter took the message for spam or phishing."),
    "content_rejected": ReasonFacts(
        "sender", False, "A virus, an attachment, a header or the form of the message was refused."
    ),
    "sender_blocked": ReasonFacts(
        "sender",
        False,
        "The sending address, host or domain is refused: blocklist, reputation, reverse DNS, HELO, MAIL FROM.",
    ),
    "auth_failure": ReasonFacts("sender", False, "SPF, DKIM, DMARC or ARC did not pass."),
    "policy": ReasonFacts(
        "sender", False, "A rule or security policy of the receiver, without a nearer cause."
    ),
    "rate_limited": ReasonFacts("sender", False, "Too fast, too many connections, messages or recipients."),
    "too_large": ReasonFacts(
        "sender", False, "The message is larger than the server or the mailbox accepts."
    ),
    "greylisted": ReasonFacts(
        "infrastructure", False, "First contact is put off on purpose; a retry gets through."
    ),
    "network": ReasonFacts(
        "infrastructure", False, "DNS trouble, no connection, a lost connection or a mail loop."
    ),
    "system_error": ReasonFacts(
        "infrastructure", False, "The receiving system failed: disk, queue, directory, program."
    ),
    "expired": ReasonFacts("infrastructure", False, "The queue's time ended and no reply says why."),
    "relay_denied": ReasonFacts(
        "infrastructure",
        False,
        "The server does not take mail for this domain: wrong route or missing login.",
    ),
    "protocol_error": ReasonFacts(
        "infrastructure", False, "An SMTP command was wrong, unknown or out of order."
    ),
    "tls": ReasonFacts(
        "infrastructure", False, "No encrypted connection could be made, or a certificate was refused."
    ),
    "suppressed": ReasonFacts(
        "unknown", False, "The sending side stopped the message by a list of its own; no server refused it."
    ),
    "auto_reply": ReasonFacts("unknown", False, "An automatic answer of a mailbox that works; not a bounce."),
    "unknown": ReasonFacts("unknown", False, "Nothing that was said fits a rule."),
}
