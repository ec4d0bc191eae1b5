"""Notifications: a change of the open rate is found in days, and days that differ as usual are no change."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.opens import (
    DEFAULT_HISTORY_POLICY,
    OpenDay,
    OpenHistory,
    history_from_plain,
    history_to_plain,
    is_mature,
    observe_days,
)

POLICY = DEFAULT_HISTORY_POLICY
FIRST = date(2026, 1, 1)


def day(number: int, visible: int, human: int) -> OpenDay:
    return OpenDay(day=FIRST + timedelta(days=number), visible_count=visible, human_count=human)


def days(
    seed: int, *, count: int, mail: int, rate: Callable[[int], float], shape: float = 0.0
) -> list[OpenDay]:
    """Return days of a sender; with a shape their rates differ beyond chance."""
    rng, drawn = np.random.default_rng(seed), []
    for number in range(count):
        mean = rate(number)
        of_day = rng.beta(mean * shape, (1 - mean) * shape) if shape else mean
        visible = int(rng.poisson(mail))
        drawn.append(day(number, visible, int(rng.binomial(visible, of_day))))
    return drawn


def trends(observed: list[OpenDay]) -> list[str]:
    history, found = OpenHistory(), []
    for one in observed:
        history = observe_days(history, [one])
        found.append(history.trend())
    return found


@pytest.mark.parametrize(("new", "trend"), [(0.2, "fallen"), (0.4, "risen")])
def test_a_change_is_found_within_days_and_settles_after_four_weeks(new: float, trend: str) -> None:
    found = trends(days(1, count=120, mail=1_000, rate=lambda n: 0.3 if n < 60 else new))
    assert found[59] == "steady"
    assert trend in found[60:63]
    assert found[70] == trend
    assert found[-1] == "steady"


def test_a_change_that_is_undone_ends_within_a_week() -> None:
    found = trends(days(2, count=90, mail=1_000, rate=lambda n: 0.2 if 60 <= n < 70 else 0.3))
    assert found[66:70] == ["fallen"] * 4
    assert found[77] == "steady"


def test_nothing_is_said_before_three_weeks_were_learned() -> None:
    found = trends(days(3, count=30, mail=1_000, rate=lambda n: 0.3))
    assert found[POLICY.learning_days - 2] == "unknown"
    assert found[POLICY.learning_days - 1] == "steady"


def test_false_alarms_are_as_rare_as_stated() -> None:
    """One in 25 years for the worst kind of sender: small, with days that differ; here 30 years."""
    found = trends(days(4, count=30 * 365, mail=60, rate=lambda n: 0.3, shape=50.0))
    starts = sum(a == "steady" and b != "steady" for a, b in pairwise(found))
    assert starts <= 3


def test_days_of_little_mail_tell_nothing() -> None:
    history = observe_days(OpenHistory(), days(5, count=60, mail=1_000, rate=lambda n: 0.3))
    few = POLICY.min_visible_count - 1
    assert observe_days(history, [day(60 + n, few, 0) for n in range(20)]) == history


any_days = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 400), st.floats(0, 1)).map(
        lambda drawn: day(drawn[0], drawn[1], int(drawn[1] * drawn[2]))
    ),
    max_size=60,
    unique_by=lambda one: one.day,
)


@given(any_days, st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_days_in_a_call_do_not_matter(
    drawn: list[OpenDay], random: object
) -> None:
    history = observe_days(OpenHistory(), drawn)
    assert observe_days(OpenHistory(), drawn[::-1]) == history
    assert observe_days(history, drawn) == history
    assert history_from_plain(json.loads(json.dumps(history_to_plain(history)))) == history


def test_a_history_of_another_form_is_refused() -> None:
    with pytest.raises(DataError, match="another form"):
        history_from_plain({"mean": 1})


def test_more_opened_than_can_be_seen_is_refused() -> None:
    with pytest.raises(DataError, match="human_count"):
        day(0, 1, 2)


def test_a_day_is_judged_two_days_after_its_end() -> None:
    ripe = datetime(2026, 1, 4, tzinfo=UTC)
    assert is_mature(FIRST, now=ripe)
    assert not is_mature(FIRST, now=ripe - timedelta(milliseconds=1))
