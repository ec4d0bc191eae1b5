"""What a report says, before it is anybody's event."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from postloop.domain.errors import DataError
from postloop.domain.event_types import BounceAction
from postloop.domain.reports.headers import Headers

ReportKind = Literal["dsn", "arf", "none"]
"""dsn: about a delivery, with or without the form of RFC 3464; arf: from a feedback loop; none: neither."""

SkipReason = Literal[
    "delivered",
    "relayed",
    "expanded",
    "auto_reply",
    "read_receipt",
    "authentication_report",
    "not_a_report",
]
"""Why a message, or one recipient of it, is no event though nothing is wrong with it.

delivered, relayed, expanded: actions of RFC 3464 that tell of success. auto_reply: a person is away; the message
arrived, so it is no bounce. read_receipt: RFC 8098. authentication_report: RFC 6591. not_a_report: other mail.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLimits:
    """What is read of a message at most. Nothing is ever unpacked, so no archive can grow."""

    max_message_bytes: int = 1_000_000
    """What is behind is not read: a report's own parts come first, the returned message last. As large as a
    record may be, so that a dead letter of it fits its topic."""
    max_header_bytes: int = 256 * 1024
    max_parts: int = 64
    max_nesting: int = 8
    max_recipients: int = 1_000

    def check_recipients(self, count: int) -> None:
        """Raise DataError `too_many_recipients` for more than a report may name."""
        if count > self.max_recipients:
            text = f"the report names more than {self.max_recipients} recipients"
            raise DataError("too_many_recipients", "recipient", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceDraft:
    """What a report says about one recipient. Times are what the report names, the best one first."""

    recipient: str
    action: BounceAction
    smtp_code: int = 0
    enhanced_code: str = ""
    diagnostic: str = ""
    smtp_command: str = ""
    remote_host: str = ""
    times: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintDraft:
    """What a feedback loop says about one recipient; `recipient` may be redacted."""

    recipient: str
    feedback_type: str
    reporting_provider: str = ""
    times: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftError:
    """Why the recipient at place `index` of a report is no event; None is the report as a whole."""

    index: int | None
    code: str
    field: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The message that a report is about, as far as the report returned it."""

    message_id: str = ""
    sender_domain: str = ""
    sent_at: datetime | None = None
    headers: Headers = field(default_factory=Headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one message turned out to be. `drafts` keep their place among the report's recipients.

    `identity` names the report: the same whatever mailbox, line ends or delivery headers it is read with.
    """

    kind: ReportKind
    identity: tuple[str, ...]
    original: Original = field(default_factory=Original)
    headers: Headers = field(default_factory=Headers)
    drafts: tuple[tuple[int, BounceDraft | ComplaintDraft], ...] = ()
    skipped: tuple[SkipReason, ...] = ()
    errors: tuple[DraftError, ...] = ()

    @property
    def recipient_count(self) -> int:
        """How many recipients it names, also those who are skipped or cannot be read."""
        return len(self.drafts) + len(self.skipped) + len(self.errors)


DEFAULT_LIMITS: Final = ReportLimits()
MAX_TEXT_CHARS: Final = 8_192
"""More of a diagnostic is cut off; the recorder stores no more either."""
