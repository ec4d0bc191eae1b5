"""Rows of the tables of reputation, and whom they are about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

UNKNOWN_SCORE: Final = 101.0
"""Stands for an unknown score in the list of senders: behind all others."""
# Names travel in the address of a request: 1 MiB of it and 128 KiB of a parameter are taken, each as UTF-8. Most of
# what such a question costs is not what it reads: of 200 at once each sender cost 2.5 times as much as of 1,000.
MAX_SUBJECTS: Final = 1_000
MAX_NAME_BYTES: Final = 60_000
ListPlace = tuple[float, int, str, str]
"""A place in the list of senders; see `CurrentRow.place`."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Whose reputation it is; `mailbox_provider` empty: with everybody; `ip_pool` empty: over every pool."""

    account_id: str
    sender_domain: str
    mailbox_provider: str = ""
    ip_pool: str = ""
    ip_pool_kind: str = ""

    @property
    def domain(self) -> Subject:
        """The pair of account and sender domain that it is a part of."""
        return Subject(self.account_id, self.sender_domain)

    @property
    def is_part(self) -> bool:
        """Whether it is about a part of the mail only: with one provider, or over one pool."""
        return bool(self.mailbox_provider or self.ip_pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRow:
    """What is known of a subject, as table `reputation_current` holds it, over one pool `reputation_pools`.

    The newest row counts.

    Attributes:
        score: None while unknown.
        state: The state of the rules, as JSON.
    """

    account_id: str
    sender_domain: str
    mailbox_provider: str
    owner_hash: int
    at: datetime
    score: float | None
    grade: str
    recommendation: str
    outcome_count: int
    complaint_rate: float | None
    complaint_low: float
    complaint_high: float
    hard_bounce_rate: float | None
    hard_bounce_low: float
    hard_bounce_high: float
    refusal_rate: float | None
    refusal_low: float
    refusal_high: float
    state: str
    ip_pool: str = ""
    ip_pool_kind: str = ""

    @property
    def place(self) -> ListPlace:
        """Where the row stands in the list of the worst: what to give as `after` for those that follow it."""
        score = UNKNOWN_SCORE if self.score is None else self.score
        return score, -self.outcome_count, self.account_id, self.sender_domain


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One change, as `reputation_log` holds it, over one pool `reputation_pool_log`.

    Grades are empty where there was none before.
    """

    event_id: str
    account_id: str
    sender_domain: str
    mailbox_provider: str
    at: datetime
    before_score: float | None
    before_grade: str
    after_score: float | None
    after_grade: str
    recommendation: str
    factors: str
    ip_pool: str = ""
    ip_pool_kind: str = ""


def batches(subjects: Sequence[Subject]) -> Iterator[Sequence[Subject]]:
    """Yield subjects in their order, as many at once as one question may name; a name alone is never too long."""
    first = used_bytes = 0
    for place, subject in enumerate(subjects):
        name_bytes = max(len(name.encode()) for name in (subject.account_id, subject.sender_domain))
        if place - first == MAX_SUBJECTS or used_bytes + name_bytes > MAX_NAME_BYTES:
            yield subjects[first:place]
            first, used_bytes = place, 0
        used_bytes += name_bytes
    if first < len(subjects):
        yield subjects[first:]


def row_names(row: type[CurrentRow | LogRow], *without: str) -> tuple[str, ...]:
    """Return the names of the columns of a kind of row, some of which a table may not have."""
    return tuple(field.name for field in fields(row) if field.name not in without)
