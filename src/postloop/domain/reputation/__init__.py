"""Is a sender domain healthy, how sure is that, and what to do: the rules, without input or output."""

from postloop.domain.reputation.actions import ActionCode, Recommendation, actions
from postloop.domain.reputation.backtest import DailyCounts, GradeChange, backtest, grades_by_day
from postloop.domain.reputation.counts import FACTORS, FactorName, RefusalKind, WindowCounts, refusal_kind
from postloop.domain.reputation.policy import DEFAULT_REPUTATION_POLICY, PRESETS, Limits, ReputationPolicy
from postloop.domain.reputation.policy_files import policy_from_plain, policy_to_plain
from postloop.domain.reputation.rates import Rate, RateVerdict, all_rates, rate_of
from postloop.domain.reputation.score import GRADES, Factor, Grade, Score, score
from postloop.domain.reputation.standing import (
    ReputationChanged,
    ReputationState,
    Standing,
    change_event_id,
    evaluate,
    state_from_plain,
    state_to_plain,
)
from postloop.domain.reputation.tencent import Condition, TencentView, tencent_ladder, tencent_view
from postloop.domain.reputation.texts import action_text, grade_text
from postloop.domain.reputation.windows import (
    DAY_MS,
    HOUR_MS,
    Bucket,
    Evidence,
    WindowName,
    evidence_at,
    evidence_of,
)

__all__ = [
    "DAY_MS",
    "DEFAULT_REPUTATION_POLICY",
    "FACTORS",
    "GRADES",
    "HOUR_MS",
    "PRESETS",
    "ActionCode",
    "Bucket",
    "Condition",
    "DailyCounts",
    "Evidence",
    "Factor",
    "FactorName",
    "Grade",
    "GradeChange",
    "Limits",
    "Rate",
    "RateVerdict",
    "Recommendation",
    "RefusalKind",
    "ReputationChanged",
    "ReputationPolicy",
    "ReputationState",
    "Score",
    "Standing",
    "TencentView",
    "WindowCounts",
    "WindowName",
    "action_text",
    "actions",
    "all_rates",
    "backtest",
    "change_event_id",
    "evaluate",
    "evidence_at",
    "evidence_of",
    "grade_text",
    "grades_by_day",
    "policy_from_plain",
    "policy_to_plain",
    "rate_of",
    "refusal_kind",
    "score",
    "state_from_plain",
    "state_to_plain",
    "tencent_ladder",
    "tencent_view",
]
