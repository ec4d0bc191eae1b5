"""Whether the open rate of a domain's notifications changed: a control chart over days, by when the mail was sent.

Notifications have no line: an alarm is opened at once, a weekly digest seldom. So each day is compared with the days
before by two cumulative sums (E. S. Page, 1954), one for a fall and one for a rise. They add up by how many standard
deviations a day misses what was usual, less an allowance; what days differ by anyway is learned from their misses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from typing import Any, Final, Literal

from postloop.domain.errors import DataError

Trend = Literal["unknown", "steady", "fallen", "risen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPolicy:
    """How a change is told from what days differ by anyway.

    How many false alarms: 18 in 900 simulated years of six kinds of senders (60 to 20,000 messages a day, rates of
    0.02 to 0.6, days alike or not): one in 50 years for each domain, one in 25 for the worst kind. A fall from 0.30 to
    0.25 is found after 3 days at 1,000 messages a day; at 100 after 16, or it becomes what is usual first. One from
    0.30 to 0.20 is found after 2 and after 5 days (medians).

    Attributes:
        mature_days: Opens of a day's mail are waited for so long.
        min_visible_count: A day with fewer deliveries that can be seen tells nothing.
        learning_days: Days before anything is said.
        half_life_days: Of what is usual.
        allowance: Misses up to so many standard deviations add nothing up: tuned to find a shift of twice that.
        limit: The sum that is a change.
        floor_spread: Days differ by at least this share of the standard deviation of chance.
        settle_days: After a change, the new rate is what is usual when it has lasted for so long.
        back_days: It is undone when so many more days were nearer to the old rate than to the new one.
    """

    mature_days: int = 2
    min_visible_count: int = 50
    learning_days: int = 21
    half_life_days: float = 28.0
    allowance: float = 0.5
    limit: float = 7.0
    floor_spread: float = 1.0
    settle_days: int = 28
    back_days: int = 3


DEFAULT_HISTORY_POLICY: Final = HistoryPolicy()
_NO_CHANGE: Final[dict[str, Any]] = {
    "fall_sum": 0.0,
    "rise_sum": 0.0,
    "changed_days": 0,
    "changed_visible": 0,
    "changed_human": 0,
    "back_days": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDay:
    """The mail that was sent on one day (UTC), and what became of it.

    Attributes:
        visible_count: Deliveries whose opens can be seen.
        human_count: Those opened by a person.

    Raises:
        DataError: a count is negative, or more were opened than can be seen.
    """

    day: date
    visible_count: int
    human_count: int

    def __post_init__(self) -> None:
        if not 0 <= self.human_count <= self.visible_count:
            text = f"human_count is between 0 and visible_count ({self.visible_count}): {self.human_count}"
            raise DataError("out_of_range", "human_count", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHistory:
    """What is known of a domain and class; never changed, only replaced.

    Attributes:
        head_day: The newest day, as `date.toordinal`; 0: none.
        day_count: Days learned since the beginning or the last change that settled.
        visible_weight: Deliveries that can be seen, of usual days, each worth half after `half_life_days` of them.
        human_weight: Opened ones among them.
        miss_weight: Squared misses, in variances of chance.
        miss_count: How many days these are.
        fall_sum: The cumulative sum for a fall.
        rise_sum: That for a rise.
        changed_days: Days since a change; 0: steady.
        changed_visible: Deliveries of those days.
        changed_human: Opened ones among them.
        back_days: Days of the change that were nearer to what was usual, less those that were not; at least 0.
    """

    head_day: int = 0
    day_count: int = 0
    visible_weight: float = 0.0
    human_weight: float = 0.0
    miss_weight: float = 0.0
    miss_count: float = 0.0
    fall_sum: float = 0.0
    rise_sum: float = 0.0
    changed_days: int = 0
    changed_visible: int = 0
    changed_human: int = 0
    back_days: int = 0

    @property
    def usual_rate(self) -> float | None:
        """What was usual; None before the first day."""
        return self.human_weight / self.visible_weight if self.visible_weight else None

    def trend(self, policy: HistoryPolicy = DEFAULT_HISTORY_POLICY) -> Trend:
        """Return what the chart says."""
        if self.fall_sum >= policy.limit:
            return "fallen"
        if self.rise_sum >= policy.limit:
            return "risen"
        return "steady" if self.day_count >= policy.learning_days else "unknown"


def is_mature(day: date, *, now: datetime, policy: HistoryPolicy = DEFAULT_HISTORY_POLICY) -> bool:
    """Return whether the opens of a day's mail have been waited for long enough."""
    end = datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1 + policy.mature_days)
    return now >= end


def observe_days(
    history: OpenHistory, days: Iterable[OpenDay], policy: HistoryPolicy = DEFAULT_HISTORY_POLICY
) -> OpenHistory:
    """Return the history with these days, which must be mature.

    Days not newer than the last one change nothing, so a replay changes nothing; nor do days of little mail.
    """
    for one in sorted(days, key=lambda d: d.day):
        if one.day.toordinal() > history.head_day and one.visible_count >= policy.min_visible_count:
            history = replace(_with_day(history, one, policy), head_day=one.day.toordinal())
    return history


def _with_day(history: OpenHistory, one: OpenDay, policy: HistoryPolicy) -> OpenHistory:
    if history.trend(policy) in ("fallen", "risen"):
        return _after_change(history, one, policy)
    if history.usual_rate is None:
        return _learned(history, one, policy, miss=None)
    miss = _miss(history, one)
    if history.day_count < policy.learning_days:
        return _learned(history, one, policy, miss=miss)
    spread = sqrt(max(history.miss_weight / history.miss_count, policy.floor_spread))
    scaled = miss / spread
    charted = replace(
        history,
        fall_sum=max(history.fall_sum - scaled - policy.allowance, 0.0),
        rise_sum=max(history.rise_sum + scaled - policy.allowance, 0.0),
    )
    if charted.trend(policy) == "steady":
        return _learned(charted, one, policy, miss=miss)
    return replace(charted, changed_days=1, changed_visible=one.visible_count, changed_human=one.human_count)


def _miss(history: OpenHistory, one: OpenDay) -> float:
    """Return by how many standard deviations of chance a day misses the usual rate.

    Chance is that of the day and that of what is known of the usual rate.
    """
    # Half an event more on either side: a rate of 0 or 1 would leave nothing to chance.
    rate = (history.human_weight + 0.5) / (history.visible_weight + 1)
    variance = rate * (1 - rate) * (1 / one.visible_count + 1 / history.visible_weight)
    return (one.human_count / one.visible_count - rate) / sqrt(variance)


def _learned(history: OpenHistory, one: OpenDay, policy: HistoryPolicy, *, miss: float | None) -> OpenHistory:
    kept = 0.5 ** (1 / policy.half_life_days)
    return replace(
        history,
        day_count=history.day_count + 1,
        visible_weight=history.visible_weight * kept + one.visible_count,
        human_weight=history.human_weight * kept + one.human_count,
        miss_weight=history.miss_weight * kept + (0.0 if miss is None else miss * miss),
        miss_count=history.miss_count * kept + (0.0 if miss is None else 1.0),
    )


def _after_change(history: OpenHistory, one: OpenDay, policy: HistoryPolicy) -> OpenHistory:
    """Return the history after one more day of a change, which ends when it is undone or has settled."""
    rate, usual_rate = one.human_count / one.visible_count, history.usual_rate or 0.0
    changed_rate = history.changed_human / history.changed_visible
    is_nearer = abs(rate - usual_rate) < abs(rate - changed_rate)
    back_days = max(history.back_days + (1 if is_nearer else -1), 0)
    if back_days >= policy.back_days:
        return replace(history, **_NO_CHANGE)
    visible = history.changed_visible + one.visible_count
    human = history.changed_human + one.human_count
    if history.changed_days + 1 < policy.settle_days:
        return replace(
            history,
            changed_days=history.changed_days + 1,
            changed_visible=visible,
            changed_human=human,
            back_days=back_days,
        )
    settled = replace(history, **_NO_CHANGE)
    return replace(settled, visible_weight=float(visible), human_weight=float(human))


def history_to_plain(history: OpenHistory) -> dict[str, Any]:
    """Return a history as what JSON knows."""
    return asdict(history)


def history_from_plain(plain: dict[str, Any]) -> OpenHistory:
    """Return the history that `history_to_plain` was given.

    Raises:
        DataError: it is not of that form.
    """
    try:
        return OpenHistory(**plain)
    except TypeError as error:
        raise DataError("invalid_state", "", "the history of an open rate has another form") from error
