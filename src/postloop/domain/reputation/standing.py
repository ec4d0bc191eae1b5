"""What is said of a sender over time: it falls on evidence at once, and rises only after clean days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from postloop.domain.errors import DataError
from postloop.domain.reputation.actions import RECOMMENDATIONS, ActionCode, Recommendation, actions
from postloop.domain.reputation.counts import WindowCounts
from postloop.domain.reputation.policy import ReputationPolicy
from postloop.domain.reputation.score import (
    GRADES,
    RANK,
    TOP_SCORE,
    Factor,
    Grade,
    Score,
    grade_of,
    score,
    score_only,
)
from postloop.domain.reputation.windows import DAY_MS, Evidence

_STRENGTH: Final[dict[Recommendation, int]] = {"none": 0, "resume": 0, "warn": 1, "throttle": 2, "pause": 3}
_NAMESPACE: Final = UUID("3a1f5b0e-7f0c-5d3b-8f59-0d6a2c4be917")


@dataclass(frozen=True, slots=True)
class Standing:
    """A score and its grade, as published. `score` is None while unknown."""

    score: float | None = None
    grade: Grade = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationState:
    """What is kept of one sender; never changed, only replaced.

    Attributes:
        standing: As it is held, which can be worse than what the counts alone say.
        recommendation: The last one.
        is_judged: There was a verdict once.
        at_ms: Of the last evaluation; an older one changes nothing.
        better_grade: What the sender has surely kept to since `better_from_ms`; None where that is not better.
        better_from_ms: See `better_grade`; 0 without it.
        counted: What the rates of 30 days were made of at the last evaluation: outcomes, complaints, deliveries that
            could have brought one, hard bounces, refusals. None: kept by a release that did not know it.
    """

    standing: Standing = Standing()
    recommendation: Recommendation = "none"
    is_judged: bool = False
    at_ms: int = 0
    better_grade: Grade | None = None
    better_from_ms: int = 0
    counted: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationChanged:
    """What the world is told: another grade, another recommendation, or a first verdict that is not good."""

    at_ms: int
    before: Standing | None
    after: Standing
    recommendation: Recommendation
    factors: tuple[Factor, ...]
    actions: tuple[ActionCode, ...]


def evaluate(
    state: ReputationState, evidence: Evidence, policy: ReputationPolicy, now_ms: int
) -> tuple[ReputationState, tuple[ReputationChanged, ...]]:
    """Return the state after the evidence of this moment, and what is to be told.

    Passing the same again tells nothing and changes nothing; so does anything older than the state.
    """
    if now_ms < state.at_ms:
        return state, ()
    found = score_only(evidence, policy)
    grade, better, better_from_ms = _held(state, grade_of(found), evidence, policy, now_ms)
    standing = Standing(_shown(found, grade), grade)
    recommendation = _recommendation(state, standing, policy)
    new = ReputationState(
        standing=standing,
        recommendation=recommendation,
        is_judged=state.is_judged or grade != "unknown",
        at_ms=now_ms,
        better_grade=better,
        better_from_ms=better_from_ms,
        counted=_counted(evidence.counts("30d")),
    )
    if not _is_news(state, new):
        return new, ()
    return new, (_told(state, new, score(evidence, policy)),)


def change_event_id(
    change: ReputationChanged,
    *,
    account_id: str,
    sender_domain: str,
    mailbox_provider: str | None = None,
    pool: tuple[str, str] | None = None,
) -> str:
    """Return the id of the event of a change; the same change has the same id, whoever finds it.

    Args:
        pool: The name and kind of the IP pool that it is about.
    """
    cause = (
        f"{account_id}|{mailbox_provider or ''}|{change.at_ms}|{change.after.grade}|{change.recommendation}"
    )
    over = "" if pool is None else f"|{pool[1]}|{pool[0]}"
    return str(uuid5(_NAMESPACE, f"{cause}|{sender_domain}{over}"))


def state_to_plain(state: ReputationState) -> dict[str, Any]:
    """Return a state as what JSON knows."""
    return {
        "score": state.standing.score,
        "grade": state.standing.grade,
        "recommendation": state.recommendation,
        "is_judged": state.is_judged,
        "at_ms": state.at_ms,
        "better_grade": state.better_grade,
        "better_from_ms": state.better_from_ms,
        "counted": state.counted,
    }


def state_from_plain(plain: dict[str, Any]) -> ReputationState:
    """Return the state that `state_to_plain` was given.

    Raises:
        DataError: `invalid_state`, it is not of that form.
    """
    try:
        state = ReputationState(
            standing=Standing(plain["score"], plain["grade"]),
            recommendation=plain["recommendation"],
            is_judged=plain["is_judged"],
            at_ms=plain["at_ms"],
            better_grade=plain["better_grade"],
            better_from_ms=plain["better_from_ms"],
            counted=None if plain.get("counted") is None else tuple(plain["counted"]),
        )
    except (KeyError, TypeError) as error:
        text = f"the state of a reputation has another form: {type(error).__name__}"
        raise DataError("invalid_state", "", text) from error
    for name, value, known in (
        ("grade", state.standing.grade, GRADES),
        ("recommendation", state.recommendation, RECOMMENDATIONS),
        ("better_grade", state.better_grade, (None, *GRADES)),
    ):
        if value not in known:
            raise DataError("invalid_state", name, f"{name} is none that there is: {value!r}")
    return state


def _counted(counts: WindowCounts) -> tuple[int, ...]:
    return (
        counts.outcome_count,
        *counts.share_of("complaints"),
        counts.hard_bounce_count,
        counts.refusal_count,
    )


def _told(before: ReputationState, after: ReputationState, found: Score) -> ReputationChanged:
    return ReputationChanged(
        at_ms=after.at_ms,
        before=before.standing if before.is_judged else None,
        after=after.standing,
        recommendation=after.recommendation,
        factors=found.factors,
        actions=actions(found, after.recommendation),
    )


def _held(
    state: ReputationState, found: Grade, evidence: Evidence, policy: ReputationPolicy, now_ms: int
) -> tuple[Grade, Grade | None, int]:
    """Return the grade to hold, and since when which better one was kept to."""
    held = state.standing.grade
    if "unknown" in (found, held) or RANK[found] < RANK[held]:
        return found, None, 0
    if RANK[found] == RANK[held]:
        return held, None, 0  # to rise asks for more than to hold
    kept = grade_of(score_only(evidence, policy.for_rising()))
    if RANK[kept] <= RANK[held]:
        return held, None, 0
    better, since_ms = kept, now_ms
    if state.better_grade is not None:
        better = min(kept, state.better_grade, key=RANK.__getitem__)
        since_ms = state.better_from_ms
    if now_ms - since_ms < policy.clean_days * DAY_MS:
        return held, better, since_ms
    # What is kept to today begins to count for the next step at once: a replay must not find it new.
    return (better, kept, now_ms) if RANK[kept] > RANK[better] else (better, None, 0)


def _shown(found: float | None, grade: Grade) -> float | None:
    return None if found is None else min(found, TOP_SCORE[grade])


def _recommendation(state: ReputationState, standing: Standing, policy: ReputationPolicy) -> Recommendation:
    """Return what is advised. Within a grade advice only gets stronger: a score at a line does not make it flap."""
    wanted = _plain_recommendation(standing, policy)
    before, strength = state.recommendation, _STRENGTH[state.recommendation]
    if standing.grade == state.standing.grade:
        return before if _STRENGTH[wanted] <= strength else wanted
    if wanted == "none":
        return "resume" if strength >= _STRENGTH["throttle"] else "none"
    # Out of a pause the first step is little mail, whatever the score.
    return "throttle" if before == "pause" and wanted == "warn" else wanted


def _plain_recommendation(standing: Standing, policy: ReputationPolicy) -> Recommendation:
    if standing.grade == "bad":
        return "pause"
    if standing.grade != "low" or standing.score is None:
        return "none"
    return "throttle" if standing.score < policy.throttle_below_score else "warn"


def _is_news(before: ReputationState, after: ReputationState) -> bool:
    if not before.is_judged:
        return after.standing.grade in ("low", "bad")
    return (before.standing.grade, before.recommendation) != (after.standing.grade, after.recommendation)
