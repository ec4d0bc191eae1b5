"""A day as Tencent Cloud SES judges it: 20 levels, each with a daily cap (product page 1084/48864).

This is their rule, kept to the letter for those who come from there: fixed rates of one day, without a bound. It is
a view; Postloop's own grade never follows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor
from typing import Final, Literal

from postloop.domain.errors import DataError
from postloop.domain.reputation.counts import WindowCounts

Outcome = Literal["upgrade", "stay", "downgrade", "ban"]
ConditionName = Literal["volume", "invalid", "spam_bounces", "delivery", "complaints", "opens"]

DAILY_CAPS: Final = (
    *(500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000),
    *(150_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 1_000_000),
)
"""Mails a day on level 1 to 20."""
MIN_SEND_COUNT: Final = 300
"""A day of so many sends or fewer costs no level."""
UPGRADE_VOLUME_SHARE: Final = 0.70
"""Of the cap; less mail earns no level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One line of the rule.

    Attributes:
        value: What the day had: a rate, for `volume` a share of the cap; None where it is not known.
        limit: `value` is to be below it (`is_upper`) or above it (`volume`: at least it).
        distance_count: So many mails fewer (`is_upper`) or more, with as much mail, and it would be met; 0 when it
            is met, None where that cannot be said.
    """

    name: ConditionName
    value: float | None
    limit: float
    is_upper: bool
    is_met: bool
    distance_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TencentView:
    """What a day does to a level.

    Attributes:
        next_level: From the next day; a ban costs no level beyond that of a downgrade, but the rest of the day.
        failed: What keeps from the next level (the shorter way of the two), or what costs this one.
        upgrade_ways: Both ways up, each a list of conditions that all have to be met.
    """

    level: int
    daily_cap: int
    outcome: Outcome
    next_level: int
    failed: tuple[Condition, ...]
    upgrade_ways: tuple[tuple[Condition, ...], tuple[Condition, ...]]


def tencent_view(level: int, day: WindowCounts, *, open_rate: float | None = None) -> TencentView:
    """Return what Tencent's rule says of a day on this level. `open_rate` is of deliveries, None: not known.

    Raises:
        DataError: `out_of_range`, the level is none of 1 to 20.
    """
    if not 1 <= level <= len(DAILY_CAPS):
        raise DataError("out_of_range", "level", f"level is between 1 and {len(DAILY_CAPS)}: {level}")
    cap = DAILY_CAPS[level - 1]
    sends = max(day.send_count, day.outcome_count)
    ways = (_first_way(day, sends, cap), _second_way(day, sends, cap, open_rate))
    unmet_way = min((_unmet(way) for way in ways), key=len)
    lost = _unmet(_keeping(day, sends)) if sends > MIN_SEND_COUNT else ()
    banned = _unmet(_working(day, sends)) if sends > MIN_SEND_COUNT else ()
    outcome: Outcome = "ban" if banned else "downgrade" if lost else "stay" if unmet_way else "upgrade"
    step = 1 if outcome == "upgrade" else 0 if outcome == "stay" else -1
    return TencentView(
        level=level,
        daily_cap=cap,
        outcome=outcome,
        next_level=min(max(level + step, 1), len(DAILY_CAPS)),
        failed=banned or lost or unmet_way,
        upgrade_ways=ways,
    )


def tencent_ladder(days: Iterable[WindowCounts], *, level: int = 1) -> TencentView | None:
    """Return what the rule says of the last of these days, for a domain that was on this level on the first.

    Without opens, so the second way up is never taken. None without a day.
    """
    view = None
    for day in days:
        view = tencent_view(level, day)
        level = view.next_level
    return view


def _first_way(day: WindowCounts, sends: int, cap: int) -> tuple[Condition, ...]:
    return (
        _volume(sends, cap),
        _below("invalid", day.hard_bounce_count, sends, 0.05),
        _below("spam_bounces", day.refusal_count, sends, 0.025),
        _above("delivery", day.delivered_count, sends, 0.92),
        _below("complaints", day.complaint_count, sends, 0.001),
    )


def _second_way(day: WindowCounts, sends: int, cap: int, open_rate: float | None) -> tuple[Condition, ...]:
    opens = None if open_rate is None else open_rate * day.delivered_count
    return (
        _volume(sends, cap),
        _above("delivery", day.delivered_count, sends, 0.90),
        _below("complaints", day.complaint_count, sends, 0.001),
        _above("opens", opens, day.delivered_count, 0.50),
    )


def _keeping(day: WindowCounts, sends: int) -> tuple[Condition, ...]:
    return (
        _at_most("invalid", day.hard_bounce_count, sends, 0.09),
        _at_least("delivery", day.delivered_count, sends, 0.65),
        _at_most("spam_bounces", day.refusal_count, sends, 0.05),
        _at_most("complaints", day.complaint_count, sends, 0.005),
    )


def _working(day: WindowCounts, sends: int) -> tuple[Condition, ...]:
    return (
        _at_most("invalid", day.hard_bounce_count, sends, 0.11),
        _at_most("spam_bounces", day.refusal_count, sends, 0.15),
    )


def _unmet(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    return tuple(condition for condition in conditions if not condition.is_met)


def _volume(sends: int, cap: int) -> Condition:
    needed = ceil(_line(cap, UPGRADE_VOLUME_SHARE))
    return Condition(
        name="volume",
        value=sends / cap,
        limit=UPGRADE_VOLUME_SHARE,
        is_upper=False,
        is_met=sends >= needed,
        distance_count=max(needed - sends, 0),
    )


def _below(name: ConditionName, count: int, base: int, limit: float) -> Condition:
    return _upper(name, count, base, limit, most=ceil(_line(base, limit)) - 1)


def _at_most(name: ConditionName, count: int, base: int, limit: float) -> Condition:
    return _upper(name, count, base, limit, most=floor(_line(base, limit)))


def _upper(name: ConditionName, count: int, base: int, limit: float, *, most: int) -> Condition:
    is_met = count <= most or not count
    return Condition(
        name=name,
        value=count / base if base else None,
        limit=limit,
        is_upper=True,
        is_met=is_met,
        distance_count=0 if is_met else count - max(most, 0),
    )


def _above(name: ConditionName, count: float | None, base: int, limit: float) -> Condition:
    return _lower(name, count, base, limit, least=floor(_line(base, limit)) + 1)


def _at_least(name: ConditionName, count: float | None, base: int, limit: float) -> Condition:
    return _lower(name, count, base, limit, least=ceil(_line(base, limit)))


def _lower(name: ConditionName, count: float | None, base: int, limit: float, *, least: int) -> Condition:
    known = count is not None and base > 0
    is_met = count is not None and known and count >= least
    return Condition(
        name=name,
        value=count / base if count is not None and base else None,
        limit=limit,
        is_upper=False,
        is_met=is_met,
        distance_count=0 if is_met else ceil(least - count) if count is not None and known else None,
    )


def _line(base: int, limit: float) -> float:
    """Return how many mails a rate is, without the noise of binary fractions (0.07 of 100 is 7)."""
    return round(base * limit, 6)
