"""What is kept of one kind of feedback of one scope: the model, the silence that lasts, the alert that goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from postloop.domain.alert import Scope
from postloop.domain.errors import DataError
from postloop.domain.silence.model import FeedbackModel
from postloop.domain.silence.policy import Feedback

_FIELDS = ("day_ms", "day_seen", "day_expected", "day_count", "excess", "square")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackHour:
    """One hour of event time that is over, and complete as far as it will ever be.

    Attributes:
        at_ms: Any moment of it, in milliseconds since 1970.
        mail_count: Mail that feedback is expected of: for deliveries accepted sends, else deliveries.
        seen_count: Feedback that arrived.

    Raises:
        DataError: a count is negative.
    """

    at_ms: int
    mail_count: int
    seen_count: int

    def __post_init__(self) -> None:
        for name in ("mail_count", "seen_count"):
            if getattr(self, name) < 0:
                raise DataError("out_of_range", name, f"{name} starts at 0: {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Run:
    """Hours in a row.

    Attributes:
        started_ms: The first of them; 0: none yet.
        hour_count: How many.
        mail_count: Mail of these hours.
        expected: Feedback that they should have brought.
        seen: Feedback that they brought.
    """

    started_ms: int = 0
    hour_count: int = 0
    mail_count: int = 0
    expected: float = 0.0
    seen: int = 0

    def with_hour(self, hour: FeedbackHour, expected: float) -> Run:
        """Return the run with one more hour."""
        return Run(
            self.started_ms or hour.at_ms,
            self.hour_count + 1,
            self.mail_count + hour.mail_count,
            self.expected + expected,
            self.seen + hour.seen_count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceIncident:
    """An alert that goes on.

    Attributes:
        total: Everything since the first silent hour.
        probability: Of the silence when the alert started.
        recovery: Since the first feedback that came again.
    """

    incident_id: str
    total: Run
    probability: float
    recovery: Run = Run()


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceState:
    """Everything that is known of one scope and kind; never changed, only replaced. Its size is bounded.

    Attributes:
        head_ms: The newest hour; 0: none.
        exposure: Mail of that hour and before, each worth half after the half delay.
        silent: The silent hours up to now.
        pending: (at_ms, exposure) of silent hours not yet learned.
    """

    scope: Scope
    feedback: Feedback
    head_ms: int = 0
    exposure: float = 0.0
    model: FeedbackModel = field(default_factory=FeedbackModel)
    silent: Run = Run()
    pending: tuple[tuple[int, float], ...] = ()
    incident: SilenceIncident | None = None


def state_to_plain(state: SilenceState) -> dict[str, Any]:
    """Return a state as what JSON knows: dictionaries, lists, strings and numbers."""
    model, incident = state.model, state.incident
    return {
        "scope": state.scope.to_plain(),
        "feedback": state.feedback,
        "head_ms": state.head_ms,
        "exposure": state.exposure,
        "model": {name: getattr(model, name) for name in _FIELDS}
        | {"seen": list(model.seen), "exposure": list(model.exposure)},
        "silent": _plain_run(state.silent),
        "pending": [list(hour) for hour in state.pending],
        "incident": incident
        and [
            incident.incident_id,
            _plain_run(incident.total),
            incident.probability,
            _plain_run(incident.recovery),
        ],
    }


def state_from_plain(plain: dict[str, Any]) -> SilenceState:
    """Return the state that `state_to_plain` was given.

    Raises:
        DataError: it is not of that form.
    """
    try:
        model = plain["model"]
        return SilenceState(
            scope=Scope.from_plain(plain["scope"]),
            feedback=plain["feedback"],
            head_ms=plain["head_ms"],
            exposure=float(plain["exposure"]),
            model=FeedbackModel(
                **{name: model[name] for name in _FIELDS},
                seen=tuple(map(float, model["seen"])),
                exposure=tuple(map(float, model["exposure"])),
            ),
            silent=Run(*plain["silent"]),
            pending=tuple((at_ms, float(exposure)) for at_ms, exposure in plain["pending"]),
            incident=plain["incident"] and _incident(*plain["incident"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"the state of a silence watch has another form: {type(error).__name__}"
        raise DataError("invalid_state", "", text) from error


def _plain_run(run: Run) -> list[int | float]:
    return [run.started_ms, run.hour_count, run.mail_count, run.expected, run.seen]


def _incident(incident_id: str, total: list[Any], probability: float, recovery: list[Any]) -> SilenceIncident:
    return SilenceIncident(
        incident_id=incident_id, total=Run(*total), probability=probability, recovery=Run(*recovery)
    )
