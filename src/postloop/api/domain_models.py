"""The answers about sender domains, as the OpenAPI document describes them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

_INTERVAL = "end of its 95 % interval"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class DomainSummary(_Answer):
    """What is said of a sender domain now."""

    account_id: str
    sender_domain: str
    grade: str = Field(description="high, medium, low, bad, or unknown: too little mail")
    score: float | None = Field(description="0 to 100; null while unknown")
    recommendation: str = Field(description="none, warn, throttle, pause or resume")
    outcome_count: int = Field(description="Deliveries and final bounces that it is judged by")
    complaint_rate: float | None
    complaint_low: float
    complaint_high: float
    hard_bounce_rate: float | None
    hard_bounce_low: float
    hard_bounce_high: float
    refusal_rate: float | None
    refusal_low: float
    refusal_high: float
    open_rate: float | None = Field(description="Opened by a person, of 7 days; null: nothing was delivered")
    at: datetime = Field(description="When it was judged")


class DomainPage(_Answer):
    """Sender domains, the worst first."""

    domains: list[DomainSummary]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null: there is none")


class RateAnswer(_Answer):
    """How often something happened, and how sure that is."""

    count: int
    of_count: int
    rate: float | None = Field(description="A fraction; null: there was nothing to divide by")
    low: float = Field(description=f"Lower {_INTERVAL}")
    high: float = Field(description=f"Upper {_INTERVAL}")


class FactorAnswer(_Answer):
    """One reason for a score."""

    name: str
    window: str
    rate: float | None
    low: float
    high: float
    weight: float = Field(description="Share of all points lost, 0 to 1")
    verdict: str
    to_next_grade: int | None = Field(description="So many bad mails fewer would allow a better grade")


class ActionAnswer(_Answer):
    """One thing to do."""

    code: str
    text: str


class IntervalAnswer(_Answer):
    """A rate and how sure it is."""

    rate: float | None = Field(description="A fraction; null: there was nothing to divide by")
    low: float = Field(description=f"Lower {_INTERVAL}")
    high: float = Field(description=f"Upper {_INTERVAL}")


class PartAnswer(_Answer):
    """The verdict on a part of the mail by itself: with one mailbox provider, or over one IP pool."""

    name: str
    kind: str = Field(description="Of a pool: shared, dedicated or unknown; empty for a provider")
    score: float | None
    grade: str
    outcome_count: int = Field(description="Of 30 days")
    rates: dict[str, IntervalAnswer] = Field(description="By name, of 30 days")


class ConditionAnswer(_Answer):
    """A condition of Tencent's rule that the last whole day did not meet."""

    name: str
    value: float | None = Field(description="null: not known")
    limit: float
    is_upper: bool = Field(description="true: it should be below the limit")
    distance_count: int | None = Field(description="So many mails fewer or more; null: that cannot be said")
    text: str


class TencentAnswer(_Answer):
    """Tencent Cloud SES's level of a domain that began on level 1 within the last 90 days."""

    level: int = Field(description="1 to 20")
    daily_cap: int = Field(description="Mails a day")
    outcome: str = Field(description="What the last whole day does to it: upgrade, stay, downgrade or ban")
    next_level: int = Field(description="From the next day on")
    failed: list[ConditionAnswer]


class OpenAnswer(_Answer):
    """Opens of 30 days of one class of mail."""

    mail_class: str
    verdict: str
    open_rate: float | None
    raw_open_rate: float | None
    blind_rate: float | None
    text: str


class PoolAnswer(_Answer):
    """How an IP pool changed, and whose change that is; for operators."""

    ip_pool: str
    kind: str
    measure: str
    verdict: str
    before_rate: float | None
    after_rate: float | None
    common_part: float | None
    own_part: float | None
    text: str


class LatencyAnswer(_Answer):
    """Delivery times of 24 h to one mailbox provider."""

    mailbox_provider: str
    delivered_count: int
    p50_s: float
    p95_s: float
    delayed_rate: float | None = Field(description="Later than 300 s")


class DayAnswer(_Answer):
    """What a UTC day counted."""

    day: str
    delivered_count: int
    hard_bounce_count: int
    complaint_count: int


class PointAnswer(_Answer):
    """What an hour or a day counted."""

    at: datetime
    send_count: int
    delivered_count: int
    hard_bounce_count: int
    soft_bounce_count: int
    deferral_count: int
    complaint_count: int
    unsubscribe_count: int
    human_open_count: int


class DomainHealth(_Answer):
    """What is known of one account's mail from a sender domain."""

    account_id: str
    sender_domain: str
    score: float | None
    grade: str
    grade_by_counts: str = Field(description="What the counts alone say, before anything is waited for")
    recommendation: str
    judged_at: datetime | None
    factors: list[FactorAnswer]
    actions: list[ActionAnswer]
    rates: dict[str, dict[str, RateAnswer]] = Field(description="By window (24h, 7d, 30d), then by name")
    mailbox_providers: list[PartAnswer] | None = Field(
        description="Those with most mail first; null: `parts` were not asked for"
    )
    ip_pools: list[PartAnswer] | None = Field(
        description="Its own mail over each pool, those with most mail first; null as above"
    )
    tencent: TencentAnswer | None = Field(description="null as above, or there was no mail on any whole day")
    opens: list[OpenAnswer]
    pools: list[PoolAnswer] | None = Field(
        description="How its IP pools changed as a whole, for operators; null as above"
    )
    delivery_time: list[LatencyAnswer]
    days: list[DayAnswer]
    series: dict[str, list[PointAnswer]] = Field(
        description="hour: the last 48; day: the last 30; the oldest first"
    )


class DomainAnswer(_Answer):
    """A sender domain: one element for each account that sends from it, as far as the key sees them."""

    sender_domain: str
    accounts: list[DomainHealth]
    is_complete: bool = Field(description="false: more accounts send from it; ask with account_id")
