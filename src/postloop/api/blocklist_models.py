"""What is asked of the blocklist over HTTP, and what is answered."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from postloop.contracts.blocklist import MAX_REASON_CHARS
from postloop.contracts.fields import MAX_ID_CHARS
from postloop.domain.blocklist import GLOBAL

MAX_PAIRS: Final = 1_000
MAX_RECIPIENT_CHARS: Final = 998

RecipientText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_RECIPIENT_CHARS)]
DomainText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS)]
ReasonText = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_REASON_CHARS, strip_whitespace=True)
]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Answered(BaseModel):
    model_config = ConfigDict(frozen=True)


class Entry(_Answered):
    """A block as the owner of the key may see it.

    What other accounts' mail alone caused has no reason; what it caused too has no evidence, for that may be theirs.
    """

    scope: str = Field(description="`global`, or the sender domain for which the recipient is blocked.")
    recipient: str
    recipient_form: str
    is_active: bool
    reason: str = Field(description="A bounce reason, complaint, unsubscribe or manual; empty: not told.")
    text: str = Field(description="For whom, until when and why, in sentences.")
    next_step: str = Field(description="What to do next.")
    mailbox_provider: str
    starts_at: str | None
    inserted_at: str | None
    expires_at: str | None = Field(description="null: no end of itself.")
    entry_id: str
    smtp_text: str = Field(description="What the remote server said.")
    rule: str
    rule_version: str
    source_event_ids: list[str]
    last_delivery_at: str | None
    cause_account_ids: list[str] | None = Field(default=None, description="For operators only.")
    own_cause: bool | None = Field(
        default=None, description="For accounts: its own mail is among the causes."
    )
    blocked_by_others: bool | None = Field(default=None, description="For accounts: others' mail is as well.")


class HistoryItem(_Answered):
    """One change of the past, for operators only."""

    at: str | None
    change: str
    cause: str
    scope: str
    reason: str
    entry_id: str
    expires_at: str | None
    event_id: str


class Report(_Answered):
    """All that is known of an address."""

    recipient: str = Field(description="As the list holds it: the canonical address, or its hash.")
    blocked: bool
    entries: list[Entry] = Field(description="What blocks now, in all scopes.")
    history: list[HistoryItem] = Field(description="The newest changes first; empty for accounts.")


class Pair(_Asked):
    """A sender domain and a recipient that it wants to mail."""

    sender_domain: DomainText
    recipient: RecipientText


class CheckRequest(_Asked):
    """Which of these may be mailed?"""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"pairs": [{"sender_domain": "shop.example", "recipient": "anna@gmail.com"}]}]
        }
    )

    pairs: Annotated[list[Pair], Field(min_length=1, max_length=MAX_PAIRS)]


class Checked(_Answered):
    """The answer for the pair in the same place."""

    allowed: bool = Field(
        description="Nothing on the list stops it. No word on whether the text is an address: it is looked up as it is."
    )
    scope: str | None = Field(description="What blocks it: `global` or the sender domain; null: nothing.")
    expires_at: str | None
    reason: str | None = Field(default=None, description="For operators only.")


class CheckAnswer(_Answered):
    """The answers, in the order of the pairs."""

    results: list[Checked]
    blocked_count: int


class UnblockRequest(_Asked):
    """Lift a block."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"recipient": "anna@gmail.com", "reason": "the mailbox works again"}]}
    )

    recipient: RecipientText
    scope: DomainText = Field(default=GLOBAL, description="`global`, or a sender domain.")
    reason: ReasonText = Field(description="Why, for the audit trail.")


class Unblocked(_Answered):
    """The block was lifted."""

    outcome: Literal["done"]
    code: str
    text: str
    event_ids: list[str] = Field(description="Of the events on `blocklist.expire`.")
    command_id: str
