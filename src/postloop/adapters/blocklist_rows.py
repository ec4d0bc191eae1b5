"""The rows of the blocklist's tables and views in ClickHouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One published change.

    Attributes:
        change: inserted, extended or expired.
        recipient: In its published form.
        cause_account_ids: For the platform only.
        cause: Why an entry ended; empty for the other changes.
        at: When the change was made. Of copies with the same event id, the one with the latest stays.
    """

    event_id: str
    change: str
    entry_id: str
    scope: str
    recipient: str
    recipient_form: str
    mailbox_provider: str
    reason: str
    cause_account_ids: tuple[str, ...]
    source_event_ids: tuple[str, ...]
    smtp_text: str
    rule: str
    rule_version: str
    starts_at: datetime
    inserted_at: datetime
    expires_at: datetime | None
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """What is known of an address in one scope, whether it blocks or not.

    Attributes:
        recipient_hash: Decides which partition owns the address, and where the row lies.
        version: The row with the highest one counts, a deleted one too: after a deletion it must go on rising.
        value: What the role knows, as it keeps it.
        is_active: It blocks, unless `expires_at` has passed.
    """

    recipient_hash: int
    scope: str
    recipient: str
    version: int
    value: str
    is_deleted: bool = False
    is_active: bool = False
    entry_id: str = ""
    reason: str = ""
    cause_account_ids: tuple[str, ...] = ()
    mailbox_provider: str = ""
    recipient_form: str = ""
    smtp_text: str = ""
    rule: str = ""
    rule_version: str = ""
    source_event_ids: tuple[str, ...] = ()
    starts_at: datetime | None = None
    inserted_at: datetime | None = None
    expires_at: datetime | None = None
    last_delivery_at: datetime | None = None

    @property
    def place(self) -> Place:
        """Where the row stands in lists: what to give as `after` for those that follow it."""
        return self.recipient_hash, self.scope, self.recipient


Place = tuple[int, str, str]
"""A place in a list of entries: hash, scope, recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command and its answer.

    Attributes:
        recipient: In its published form, as in the events that the command led to.
        event_ids: Of those events.
    """

    command_id: str
    command: str
    scope: str
    recipient: str
    actor_kind: str
    actor_id: str
    reason: str
    requested_at: datetime
    answered_at: datetime
    outcome: str
    code: str
    text: str
    event_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRow:
    """Something that the incident guard keeps.

    Attributes:
        owner_hash: Decides which partition owns it; 0 for what every partition has.
        version: The row with the highest one counts, a deleted one too.
    """

    key: str
    owner_hash: int
    version: int
    value: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One published event of an alert. Texts are empty where it is not about one such thing.

    Attributes:
        figures: JSON.
    """

    event_id: str
    kind: str
    account_id: str
    sender_domain: str
    mailbox_provider: str
    started_at: datetime
    ended_at: datetime | None
    figures: str
    text: str
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow(LogRow):
    """A change with the command that led to it; the fields of that are empty where none did."""

    command_id: str = ""
    actor_kind: str = ""
    actor_id: str = ""
    command_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRow:
    """Sends that were stopped in a window, by account, sender domain and the reason of the entry."""

    window: str
    account_id: str
    sender_domain: str
    reason: str
    hit_count: int
    recipient_count: int
    last_hit_at: datetime


class EntryFilter(TypedDict, total=False):
    """Which of the entries that block are meant; what is None or left out is not asked for.

    Attributes:
        account: One of the accounts that caused it.
        starts_from: Inclusive.
        starts_to: Exclusive.
    """

    account: str | None
    scope: str | None
    reason: str | None
    provider: str | None
    starts_from: datetime | None
    starts_to: datetime | None
