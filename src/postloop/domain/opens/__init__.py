"""Open rates: what they say of a domain's mail by its class, of its days, and of its campaigns."""

from postloop.domain.opens.campaigns import Campaign, CampaignPolicy, Comparison, Effect, rank_campaigns
from postloop.domain.opens.history import (
    DEFAULT_HISTORY_POLICY,
    HistoryPolicy,
    OpenDay,
    OpenHistory,
    Trend,
    history_from_plain,
    history_to_plain,
    is_mature,
    observe_days,
)
from postloop.domain.opens.texts import describe
from postloop.domain.opens.verdict import (
    DEFAULT_OPEN_POLICY,
    OpenCounts,
    OpenPolicy,
    OpenReport,
    OpenVerdict,
    judge_opens,
)

__all__ = [
    "DEFAULT_HISTORY_POLICY",
    "DEFAULT_OPEN_POLICY",
    "Campaign",
    "CampaignPolicy",
    "Comparison",
    "Effect",
    "HistoryPolicy",
    "OpenCounts",
    "OpenDay",
    "OpenHistory",
    "OpenPolicy",
    "OpenReport",
    "OpenVerdict",
    "Trend",
    "describe",
    "history_from_plain",
    "history_to_plain",
    "is_mature",
    "judge_opens",
    "observe_days",
    "rank_campaigns",
]
