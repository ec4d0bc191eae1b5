"""What a classifier is given and what it answers."""

from dataclasses import dataclass

from postloop.domain.bounce.reasons import Fault, Reason


@dataclass(frozen=True, slots=True)
class Bounce:
    """What is known of a refusal. Everything may be missing: 0, None and "" mean not known.

    Attributes:
        smtp_code: Reply code (RFC 5321 section 4.2.3).
        enhanced_code: Enhanced status (RFC 3463), e.g. "5.1.1".
        diagnostic: The server's words, with or without the codes in them.
        remote_host: The server that answered.
        recipient_domain: Domain of the recipient.
        smtp_command: What was answered: CONNECT, EHLO, MAIL, RCPT, DATA, ...
        action: "failed" is final, "delayed" is still tried.
    """

    smtp_code: int | None = 0
    enhanced_code: str | None = ""
    diagnostic: str | None = ""
    remote_host: str | None = ""
    recipient_domain: str | None = ""
    smtp_command: str | None = ""
    action: str | None = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a message was refused.

    Attributes:
        reason: One of `REASONS`.
        hard: The address is gone for good, and nothing about the reply is temporary.
        fault: Whose side the cause is on.
        confidence: How often rules of this kind were right on labelled replies that they were not written from,
            0 to 1 (docs/bounces.md has the measurement).
        rule: Stable name of the rule that decided.
    """

    reason: Reason
    hard: bool
    fault: Fault
    confidence: float
    rule: str
