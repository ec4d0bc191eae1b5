"""How much feedback an hour should bring, learned from the hours before.

Mail that feedback may still come of is the *exposure*: each message counts fully when it is sent and half after the
half delay of its kind of feedback. Each hour of the day has its own rate of feedback per exposure, because people
read by day, drawn towards the rate of all hours as long as it knows little. How much days differ is learned too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log1p

from postloop.domain.silence.policy import HOUR_MS, SilencePolicy

HOURS = 24
_NONE = (0.0,) * HOURS
_DAY_MS = HOURS * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackModel:
    """What was learned.

    Attributes:
        seen: Feedback by hour of the day (UTC), each day worth half after `half_life_days` more of them.
        exposure: Exposure in the same hours.
        day_ms: The day that is being summed up.
        day_seen: Feedback of that day.
        day_expected: What was expected of it.
        day_count: Days that were summed up.
        excess: Squared misses of days beyond those of chance; by `square` that is 1 / shape.
        square: Squared expectations of the same days.
    """

    seen: tuple[float, ...] = _NONE
    exposure: tuple[float, ...] = _NONE
    day_ms: int = 0
    day_seen: float = 0.0
    day_expected: float = 0.0
    day_count: int = 0
    excess: float = 0.0
    square: float = 0.0

    def expected(self, exposure: float, policy: SilencePolicy, *, at_ms: int) -> float:
        """Return how much feedback an hour with this exposure brings; 0 where nothing is known."""
        all_seen, all_exposure = sum(self.seen), sum(self.exposure)
        if not all_seen or not all_exposure:
            return 0.0
        rate, hour = all_seen / all_exposure, hour_of_day(at_ms)
        own_seen, own_exposure = self.seen[hour], self.exposure[hour]
        weight = policy.hour_weight
        return exposure * (own_seen + weight) / (own_exposure + weight / rate)

    def shape(self, policy: SilencePolicy) -> float:
        """Return the shape of the gamma distribution that a day's rate has: the smaller, the more days differ.

        Never more than the events it was learned from: few of them say little of the rate.
        """
        spread = max(self.excess / self.square if self.square else 0.0, 1 / policy.max_shape)
        return min(1 / spread, max(sum(self.seen), 1e-9))

    def learned(self, seen: int, exposure: float, policy: SilencePolicy, *, at_ms: int) -> FeedbackModel:
        """Return the model with one more hour, not older than the last one."""
        model = self._with_day(policy, day_ms=at_ms - at_ms % _DAY_MS)
        hour, kept = hour_of_day(at_ms), 0.5 ** (1 / policy.half_life_days)
        return replace(
            model,
            seen=_replaced(model.seen, hour, model.seen[hour] * kept + seen),
            exposure=_replaced(model.exposure, hour, model.exposure[hour] * kept + exposure),
            day_seen=model.day_seen + seen,
            day_expected=model.day_expected + model.expected(exposure, policy, at_ms=at_ms),
        )

    def _with_day(self, policy: SilencePolicy, *, day_ms: int) -> FeedbackModel:
        """Return the model at a day: one that is over tells how much days differ."""
        if day_ms <= self.day_ms:
            return self
        if not self.day_ms:
            return replace(self, day_ms=day_ms)
        kept = 0.5 ** (1 / policy.half_life_days)
        miss = self.day_seen - self.day_expected
        # The first days are expected of hours that know nothing yet.
        counts = self.day_count >= policy.min_days // 2
        return replace(
            self,
            day_ms=day_ms,
            day_seen=0.0,
            day_expected=0.0,
            day_count=self.day_count + 1,
            excess=max(self.excess * kept + (miss * miss - self.day_expected if counts else 0.0), 0.0),
            square=self.square * kept + (self.day_expected**2 if counts else 0.0),
        )


def silence_probability(expected: float, *, shape: float) -> float:
    """Return how probable it is that nothing arrives where so much is expected.

    The count is Poisson around a rate that is gamma distributed (together negative binomial): with a shape of infinity
    that is exp(-expected); the smaller the shape, the more probable is a rate near nothing.
    """
    return exp(-shape * log1p(expected / shape))


def hour_of_day(at_ms: int) -> int:
    """Return the hour of the day in UTC, 0 to 23."""
    return at_ms // HOUR_MS % HOURS


def _replaced(values: tuple[float, ...], place: int, value: float) -> tuple[float, ...]:
    return (*values[:place], value, *values[place + 1 :])
