"""`reputation.change`: the grade of a sender domain, or what is advised about it, is another one now."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from postloop.contracts.fields import Identifier, SchemaVersion, WireTime, moment
from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    Factor,
    FactorName,
    Grade,
    Recommendation,
    ReputationChanged,
    ReputationState,
    Standing,
    change_event_id,
    state_from_plain,
    state_to_plain,
)

KEY_PREFIX: Final = "r|"
POOL_PREFIX: Final = "p|"
REPUTATION_PREFIXES: Final = (KEY_PREFIX, POOL_PREFIX)


class StandingV1(BaseModel):
    """A score and its grade."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    score: float | None = Field(ge=0, le=100, description="0 to 100; null while unknown.")
    grade: Grade


class FactorV1(BaseModel):
    """One reason for a score, with the interval of its rate."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: FactorName
    rate: float | None = Field(description="A fraction; null: no mail to divide by.")
    low: float = Field(description="Lower end of the 95 % interval: what counts.")
    high: float
    weight: float = Field(description="Share of all points lost, 0 to 1.")
    to_next_grade: int | None = Field(
        description="So many bad mails fewer would allow a better grade; null: it allows the best."
    )


class ReputationChangeV1(BaseModel):
    """The grade or the recommendation changed, or the first verdict is not good."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: SchemaVersion = 1
    event_id: str = Field(description="UUIDv5 of the change: a repeat has the same.")
    account_id: Identifier
    sender_domain: Identifier
    mailbox_provider: str | None = Field(description="null: the domain as a whole.")
    at: WireTime
    before: StandingV1 | None = Field(description="null: there was no verdict before.")
    after: StandingV1
    recommendation: Recommendation = Field(description="Postloop advises, the platform acts.")
    factors: tuple[FactorV1, ...] = Field(description="The weakest first.")

    def to_bytes(self) -> bytes:
        """Return the event as it is published."""
        return self.model_dump_json().encode()


class PoolChangeV1(ReputationChangeV1):
    """The same over one IP pool: kept and stored, not published.

    Whoever reads `reputation.change` takes an event without a mailbox provider for the verdict on the whole domain.
    """

    ip_pool: str
    ip_pool_kind: str


def reputation_change(
    change: ReputationChanged, *, account_id: str, sender_domain: str, mailbox_provider: str | None
) -> ReputationChangeV1:
    """Return the event of a change."""
    event_id = change_event_id(
        change, account_id=account_id, sender_domain=sender_domain, mailbox_provider=mailbox_provider
    )
    return ReputationChangeV1(
        event_id=event_id,
        account_id=account_id,
        sender_domain=sender_domain,
        mailbox_provider=mailbox_provider,
        **_said(change),
    )


def pool_change(
    change: ReputationChanged, *, account_id: str, sender_domain: str, ip_pool: str, ip_pool_kind: str
) -> PoolChangeV1:
    """Return a change over one IP pool."""
    event_id = change_event_id(
        change, account_id=account_id, sender_domain=sender_domain, pool=(ip_pool, ip_pool_kind)
    )
    return PoolChangeV1(
        event_id=event_id,
        account_id=account_id,
        sender_domain=sender_domain,
        mailbox_provider=None,
        ip_pool=ip_pool,
        ip_pool_kind=ip_pool_kind,
        **_said(change),
    )


def state_key(account_id: str, sender_domain: str, mailbox_provider: str = "") -> str:
    """Return the key under which the state of a sender is kept."""
    return KEY_PREFIX + json.dumps([account_id, sender_domain, mailbox_provider], ensure_ascii=False)


def pool_key(account_id: str, sender_domain: str, ip_pool: str, ip_pool_kind: str) -> str:
    """Return the key under which the state of a sender over one IP pool is kept."""
    return POOL_PREFIX + json.dumps([account_id, sender_domain, ip_pool, ip_pool_kind], ensure_ascii=False)


def split_pool_key(key: str) -> tuple[str, str, str, str]:
    """Return (account, sender domain, IP pool, its kind) of `pool_key`.

    Raises:
        DataError: `invalid_key`, it is none.
    """
    account_id, sender_domain, ip_pool, ip_pool_kind = _names(key, POOL_PREFIX, 4)
    return account_id, sender_domain, ip_pool, ip_pool_kind


def split_key(key: str) -> tuple[str, str, str]:
    """Return (account, sender domain, mailbox provider) of `state_key`.

    Raises:
        DataError: `invalid_key`, it is none.
    """
    account_id, sender_domain, mailbox_provider = _names(key, KEY_PREFIX, 3)
    return account_id, sender_domain, mailbox_provider


def _names(key: str, prefix: str, count: int) -> list[str]:
    try:
        names = json.loads(key.removeprefix(prefix))
    except ValueError:
        names = None
    if not isinstance(names, list) or len(names) != count:
        raise DataError("invalid_key", "", f"not the key of a sender: {key!r}")
    return names


def kept_to_bytes(state: ReputationState, pending: ReputationChangeV1 | None = None) -> bytes:
    """Return what is kept of a sender.

    Args:
        pending: An event that belongs to the state and may not have been published yet.
    """
    plain = state_to_plain(state)
    if pending is not None:
        plain["pending"] = json.loads(pending.to_bytes())
    return json.dumps(plain, ensure_ascii=False).encode()


def kept_from_bytes(value: bytes) -> tuple[ReputationState, ReputationChangeV1 | None]:
    """Return what `kept_to_bytes` was given.

    Raises:
        DataError: `invalid_state`, it is not of that form.
    """
    try:
        plain = json.loads(value)
        pending = plain.pop("pending", None)
        change = None if pending is None else _change_of(pending)
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError("invalid_state", "", "the state of a reputation cannot be read") from error
    return state_from_plain(plain), change


def _change_of(plain: dict[str, Any]) -> ReputationChangeV1:
    kind = PoolChangeV1 if "ip_pool" in plain else ReputationChangeV1
    return kind.model_validate_json(json.dumps(plain))


def _said(change: ReputationChanged) -> dict[str, Any]:
    return {
        "at": moment(change.at_ms),
        "before": None if change.before is None else _standing(change.before),
        "after": _standing(change.after),
        "recommendation": change.recommendation,
        "factors": tuple(_factor(factor) for factor in change.factors),
    }


def _standing(standing: Standing) -> StandingV1:
    return StandingV1(score=standing.score, grade=standing.grade)


def _factor(factor: Factor) -> FactorV1:
    rate = factor.rate
    return FactorV1(
        name=factor.name,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        weight=factor.weight,
        to_next_grade=factor.to_next_grade,
    )
