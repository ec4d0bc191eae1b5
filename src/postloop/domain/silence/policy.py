"""When silence is no chance any more, as data, with the reason for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

Feedback = Literal["delivery", "bounce", "complaint", "open"]

HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * HOUR_MS
# After so many hours half of the feedback has arrived. Deliveries and bounces come within minutes; half of the opens
# within some six hours of the mail, complaints somewhat later, with a long tail of both. It need not be exact: the
# rate is learned with the same kernel, so a wrong one only shifts when feedback is expected by some hours.
_HALF_DELAY_H: Final[Mapping[Feedback, float]] = MappingProxyType(
    {"delivery": 0.25, "bounce": 1.0, "open": 6.0, "complaint": 12.0}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencePolicy:
    """When an alert about missing feedback starts, and when it ends.

    How many false alerts: a run of silence begins at most every other hour, 4,380 times a year, and is alarming with a
    probability of `alarm_probability` under the model: 4e-5 a year for each scope and kind of feedback, so 18 a year
    for 100,000 domains with four kinds. Simulated senders of seven sizes with a day
    rhythm, quiet weekends, rates that change from day to day, and a kernel that is wrong for half of them: of 6,252
    runs 72 were alarming at 1e-2 (1.2 %), and none at the default in 7.7 years of hours.

    Attributes:
        half_delay_h: Hours after which half of the feedback on a message has arrived, by kind.
        alarm_probability: A run of silence less probable than this starts an alert: about 50 expected events
            where days are as alike as `max_shape` says, more where they differ.
        min_run_hours: So many silent hours at least.
        min_days: Days that must have been learned before anything is expected.
        max_shape: Days never differ less than a gamma distribution of this shape, by 0.32 of the mean. It also
            pays for hours of the day that are known from a few events.
        half_life_days: Of what is known of each hour of the day.
        hour_weight: What all hours say counts as so much expected feedback beside what this hour of the day says.
        max_pending_hours: Silent hours that wait until it is known whether they may be learned.
        back_count: Feedback is back with so many events,
        back_share: and with so much of what is expected since the first of them.
        max_silence_ms: After so long nothing is expected any more: it ends, and the history is forgotten.
    """

    half_delay_h: Mapping[Feedback, float] = field(default_factory=lambda: _HALF_DELAY_H)
    alarm_probability: float = 1e-8
    min_run_hours: int = 2
    min_days: int = 7
    max_shape: float = 10.0
    half_life_days: float = 14.0
    hour_weight: float = 3.0
    max_pending_hours: int = 168
    back_count: int = 3
    back_share: float = 0.25
    max_silence_ms: int = 14 * _DAY_MS


DEFAULT_SILENCE_POLICY: Final = SilencePolicy()
