"""What is kept of one address in one scope: a bounded summary of its evidence, and what the world was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from postloop.domain.blocklist.signals import Evidence

ReleaseCause = Literal["lease_ended", "unblocked", "rolled_back", "opt_in", "delivered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Everything up to this moment (event time) was lifted on purpose: older evidence counts no more."""

    at_ms: int
    cause: ReleaseCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery that is kept as evidence."""

    at_ms: int
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """That an address is blocked: why, since when, until when.

    Attributes:
        cause_account_ids: Sorted; for the platform only.
        expires_ms: None: no end of itself.
    """

    reason: str
    cause_account_ids: tuple[str, ...]
    source_event_ids: tuple[str, ...]
    smtp_text: str
    rule: str
    rule_version: str
    starts_ms: int
    expires_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The last thing that was published of a block that stands."""

    entry_id: str
    event_id: str
    change: Literal["inserted", "extended"]
    inserted_ms: int
    changed_ms: int
    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Everything that is known of one address in one scope.

    Attributes:
        provider: Who runs the mailbox, as far as evidence told.
        evidence: Sorted by time. Of hard bounces, complaints and so on the first and the last of each account; of
            soft bounces the newest.
        deliveries: Sorted by time, the newest ones.
        release: The newest release of the whole entry, kept so that late evidence from before cannot undo it.
        withdrawals: When each account last withdrew its own causes, sorted by account.
        told: What the world believes; None: not blocked.
        ended_ms: When the last block of this address ended; it names the next one.
        term: How many leases ran out in a row.
    """

    scope: str
    recipient: str
    provider: str = ""
    evidence: tuple[Evidence, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    release: Release | None = None
    withdrawals: tuple[tuple[str, int], ...] = ()
    told: Told | None = None
    ended_ms: int = 0
    term: int = 0

    @property
    def is_trivial(self) -> bool:
        """Whether nothing but deliveries is known: it need not be kept for long."""
        return not (self.evidence or self.release or self.withdrawals or self.told or self.term)

    def is_withdrawn(self, evidence: Evidence) -> bool:
        """Whether the account of this evidence took its cause back since.

        What a recipient said for itself (a complaint, an unsubscribe) is no account's to take back.
        """
        return evidence.kind not in ("complaint", "unsubscribe") and any(
            account == evidence.account_id and evidence.at_ms <= at_ms for account, at_ms in self.withdrawals
        )
