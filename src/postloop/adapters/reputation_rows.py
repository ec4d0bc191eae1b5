"""Rows of the tables of reputation, and whom they are about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Whose reputation it is; `mailbox_provider` empty: with everybody."""

    account_id: str
    sender_domain: str
    mailbox_provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRow:
    """What is known of a subject, as table `reputation_current` holds it: the newest row counts.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One change, as table `reputation_log` holds it. Grades are empty where there was none before."""

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
