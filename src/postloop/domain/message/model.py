"""What is known of one message to one recipient, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from postloop.domain.diagnosis.model import Retry, Side

State = Literal[
    "delivered", "on_its_way", "delayed", "lost", "bounced_hard", "bounced_soft", "refused", "suppressed"
]
"""What became of a message.

`delivered`: the receiving server took it. `on_its_way`: sent at most 300 s ago, nothing final heard. `delayed`: the
same up to 72 h. `lost`: for longer. `bounced_hard`, `bounced_soft`: a server refused it and nothing tries again.
`refused`: the platform did not take it. `suppressed`: the sender did not send it, because the address is blocked.
"""
Channel = Literal["api", "command_line"]
"""Over which somebody asks, and does what is to be done next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent:
    """One event of a message, as it is stored; what its type does not have is empty, 0 or None.

    Attributes:
        outcome: What the event counts as (`domain.event_types.Outcome`).
        reason: Of a bounce or deferral, by the classifier.
    """

    event_type: str
    event_id: str
    outcome: str
    occurred_at: datetime
    account_id: str
    message_id: str
    sender_domain: str
    recipient: str
    sent_at: datetime | None = None
    mailbox_provider: str = ""
    mail_class: str = ""
    campaign_id: str = ""
    template_id: str = ""
    error_code: str = ""
    error_message: str = ""
    smtp_response: str = ""
    smtp_code: int = 0
    enhanced_code: str = ""
    diagnostic: str = ""
    remote_host: str = ""
    attempt: int = 0
    reason: str = ""
    open_kind: str = ""
    open_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a message to one recipient.

    Attributes:
        events: Each once, in order of time.
        decided_by: The event that says so; None where nothing final was heard, or other events prove it.
        cause: The event that tells why: `decided_by`, or the last deferral of a message that waits or is lost.
        sent_at: When it was sent; where no event says so, when it was first heard of.
        is_sending_known: An event says when it was sent.
        is_late: Its final event came more than 300 s after the sending.
        is_replaced: A bounce came after a delivery, and counts in its place.
        reactions: Of the recipient, in order of their first: complaint, unsubscribe, human_open, machine_open.
    """

    state: State
    events: tuple[MessageEvent, ...]
    decided_by: MessageEvent | None
    cause: MessageEvent | None
    sent_at: datetime
    is_sending_known: bool
    final_at: datetime | None
    is_late: bool
    is_replaced: bool
    reactions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """An entry of the blocklist that stops mail to the recipient now.

    Attributes:
        scope: `global`, or the sender domain.
        reason: Empty where it may not be told, because only other accounts' mail caused it.
        expires_at: None: it has no end.
        has_other_causes: Mail of another account (also) caused it: who asks cannot lift it alone.
    """

    scope: str
    reason: str
    expires_at: datetime | None
    has_other_causes: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do or to look at, with what to check."""

    text: str
    checks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One event in a sentence; `said` are the words of the server or the platform ("" where there are none)."""

    event: MessageEvent
    text: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What to tell whoever asks about a message to one recipient.

    Attributes:
        verdict_text: What became of it, in one sentence.
        reason: For programs: a bounce reason, the cause of a rejected send, `suppressed`, or "".
        reason_text: Why, in one sentence.
        steps: What to do next, in this order; none where nothing is to be done.
        support: What to hand to support, "" where nothing is to be done.
    """

    verdict: Verdict
    verdict_text: str
    reason: str
    reason_text: str
    side: Side
    side_text: str
    retry: Retry
    retry_text: str
    steps: tuple[Step, ...]
    support: str
    sources: tuple[str, ...]
    timeline: tuple[TimelineItem, ...]
