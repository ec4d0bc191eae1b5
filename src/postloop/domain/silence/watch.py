"""Whether feedback stopped while mail flows: closed hours in, the start and the end of an alert out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from postloop.domain.alert import DeliveryAlert, incident_id
from postloop.domain.silence.model import FeedbackModel, silence_probability
from postloop.domain.silence.policy import HOUR_MS, SilencePolicy
from postloop.domain.silence.state import FeedbackHour, Run, SilenceIncident, SilenceState

_Result = tuple[SilenceState, tuple[DeliveryAlert, ...]]

_NOTHING: Final[tuple[DeliveryAlert, ...]] = ()


def observe(state: SilenceState, hours: Iterable[FeedbackHour], policy: SilencePolicy) -> _Result:
    """Return the state after these hours, and the alerts that start or end, in their order.

    Hours not newer than the last one change nothing, so a replay changes nothing. An hour that is left out is
    unknown: it is neither silent nor learned. Hours without mail and feedback should be passed: only they tell
    unknown from quiet.
    """
    told: list[DeliveryAlert] = []
    for hour in sorted(hours, key=lambda h: h.at_ms):
        at_ms = hour.at_ms - hour.at_ms % HOUR_MS
        if at_ms > state.head_ms:
            whole = hour if hour.at_ms == at_ms else replace(hour, at_ms=at_ms)
            state, alerts = _with_hour(state, whole, policy)
            told += alerts
    return state, tuple(told)


def _with_hour(state: SilenceState, hour: FeedbackHour, policy: SilencePolicy) -> _Result:
    passed = (hour.at_ms - state.head_ms) / HOUR_MS if state.head_ms else 0.0
    kept = 0.5 ** (passed / policy.half_delay_h[state.feedback])
    state = replace(state, head_ms=hour.at_ms, exposure=state.exposure * kept + hour.mail_count)
    # Asked first, for 30 days of hours are learned at once and most bring feedback: they need no expectation here.
    if state.incident is None and hour.seen_count:
        return _learned(state, hour, policy), _NOTHING
    expected = state.model.expected(state.exposure, policy, at_ms=hour.at_ms)
    if state.incident is not None:
        return _in_alert(state, state.incident, hour, expected, policy)
    return _silent(state, hour, expected, policy)


def _learned(state: SilenceState, hour: FeedbackHour, policy: SilencePolicy) -> SilenceState:
    """Return the state after feedback: the silence before it was chance, and is learned as well."""
    model = state.model
    for at_ms, exposure in state.pending:
        model = model.learned(0, exposure, policy, at_ms=at_ms)
    model = model.learned(hour.seen_count, state.exposure, policy, at_ms=hour.at_ms)
    return replace(state, model=model, silent=Run(), pending=())


def _silent(state: SilenceState, hour: FeedbackHour, expected: float, policy: SilencePolicy) -> _Result:
    silent = state.silent.with_hour(hour, expected)
    pending = (*state.pending, (hour.at_ms, state.exposure))
    model = state.model
    if len(pending) > policy.max_pending_hours:
        # Silent for long and still no reason for an alert: so little is expected.
        (at_ms, exposure), *later = pending
        model, pending = model.learned(0, exposure, policy, at_ms=at_ms), tuple(later)
    state = replace(state, silent=silent, pending=pending, model=model)
    probability = silence_probability(silent.expected, shape=model.shape(policy))
    if (
        model.day_count < policy.min_days
        or silent.hour_count < policy.min_run_hours
        or probability > policy.alarm_probability
    ):
        return state, _NOTHING
    name = incident_id(kind="silence", scope=state.scope, what=state.feedback, started_ms=silent.started_ms)
    incident = SilenceIncident(incident_id=name, total=silent, probability=probability)
    state = replace(state, incident=incident, silent=Run(), pending=())
    return state, (_alert(state, incident, ended_ms=None),)


def _in_alert(
    state: SilenceState,
    incident: SilenceIncident,
    hour: FeedbackHour,
    expected: float,
    policy: SilencePolicy,
) -> _Result:
    recovery = incident.recovery
    if hour.seen_count or recovery.started_ms:
        recovery = recovery.with_hour(hour, expected)
    incident = replace(incident, total=incident.total.with_hour(hour, expected), recovery=recovery)
    state = replace(state, incident=incident)
    is_back = recovery.seen >= max(policy.back_count, policy.back_share * recovery.expected)
    if is_back:
        return replace(state, incident=None), (
            _alert(state, incident, ended_ms=recovery.started_ms, cause="over"),
        )
    ended_ms = hour.at_ms + HOUR_MS
    if ended_ms - incident.total.started_ms < policy.max_silence_ms:
        return state, _NOTHING
    alert = _alert(state, incident, ended_ms=ended_ms, cause="limit")
    return replace(state, incident=None, model=FeedbackModel()), (alert,)


def _alert(
    state: SilenceState, incident: SilenceIncident, *, ended_ms: int | None, cause: str = ""
) -> DeliveryAlert:
    total = incident.total
    figures: dict[str, int | float | str] = {
        "feedback": state.feedback,
        "mail_count": total.mail_count,
        "expected_count": total.expected,
        "seen_count": total.seen,
        "probability": incident.probability,
    }
    return DeliveryAlert(
        incident_id=incident.incident_id,
        kind="silence",
        scope=state.scope,
        started_at=_instant(total.started_ms),
        ended_at=None if ended_ms is None else _instant(ended_ms),
        figures=figures | {"cause": cause} if cause else figures,
    )


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
