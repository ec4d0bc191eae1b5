"""Policies from data, what another one would have said, Tencent's view, and the words for it all."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    DAY_MS,
    DEFAULT_REPUTATION_POLICY,
    GRADES,
    PRESETS,
    DailyCounts,
    ReputationPolicy,
    WindowCounts,
    action_text,
    actions,
    backtest,
    evidence_of,
    grade_text,
    policy_from_plain,
    policy_to_plain,
    score,
    tencent_view,
)
from postloop.domain.reputation.actions import ACTION_CODES
from postloop.domain.reputation.tencent import DAILY_CAPS
from postloop.domain.reputation.texts import LANGUAGES
from tests.unit.domain.reputation.mail import T0_MS, any_mail, mail

POLICY = DEFAULT_REPUTATION_POLICY


# -- Files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_json_and_by_its_name(name: str) -> None:
    policy = PRESETS[name]
    assert policy_from_plain(json.loads(json.dumps(policy_to_plain(policy)))) == policy
    assert policy_from_plain({"preset": name}) == policy


def test_a_file_changes_only_what_it_names() -> None:
    text = 'preset = "aws"\nrepresentative_count = 5000\n[complaints]\nwarning_rate = 0.0008\n'
    policy = policy_from_plain(tomllib.loads(text))
    aws = PRESETS["aws"]
    assert policy == replace(
        aws, representative_count=5_000, complaints=replace(aws.complaints, warning_rate=0.0008)
    )


@pytest.mark.parametrize(
    ("plain", "code", "field"),
    [
        pytest.param({"preset": "yahoo"}, "out_of_range", "preset", id="no such preset"),
        pytest.param({"preset": ["aws"]}, "out_of_range", "preset", id="a preset that is no word"),
        pytest.param({"complaint": {}}, "unknown_key", "complaint", id="misspelled factor"),
        pytest.param({"complaints": {"warn": 1}}, "unknown_key", "complaints.warn", id="misspelled limit"),
        pytest.param({"complaints": 0.001}, "wrong_type", "complaints", id="a number for a table"),
        pytest.param({"bound_z": "2"}, "wrong_type", "bound_z", id="text for a number"),
        pytest.param({"min_bad_count": True}, "wrong_type", "min_bad_count", id="true is no number"),
        pytest.param({"min_bad_count": 1.5}, "wrong_type", "min_bad_count", id="half a mail"),
        pytest.param({"min_outcome_count": 0}, "out_of_range", "min_outcome_count", id="nothing is enough"),
        pytest.param({"judged_windows": ["2h"]}, "out_of_range", "judged_windows", id="no such window"),
        pytest.param({"judged_windows": [["1h"]]}, "out_of_range", "judged_windows", id="list in a list"),
        pytest.param({"judged_windows": "24h"}, "wrong_type", "judged_windows", id="one window is no list"),
        pytest.param({"judged_windows": []}, "out_of_range", "judged_windows", id="no window"),
        pytest.param({"clean_days": 31}, "out_of_range", "clean_days", id="longer than is known"),
        pytest.param({"release_share": 1.1}, "out_of_range", "release_share", id="rising above the limit"),
        pytest.param({"bound_z": float("nan")}, "out_of_range", "bound_z", id="not a number"),
        pytest.param(
            {"complaints": {"warning_rate": 0.003}},
            "out_of_range",
            "complaints.critical_rate",
            id="warning not below critical",
        ),
        pytest.param(
            {"refusals": {"warning_rate": 5}}, "out_of_range", "refusals.warning_rate", id="per cent"
        ),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_by_its_key(
    plain: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(DataError) as caught:
        policy_from_plain(plain)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert field in caught.value.text


def test_published_limits_are_those_of_the_presets() -> None:
    found = {
        name: [
            (limits.warning_rate, limits.critical_rate)
            for limits in (policy.complaints, policy.hard_bounces, policy.refusals)
        ]
        for name, policy in PRESETS.items()
    }
    assert found == {
        "default": [(0.001, 0.003), (0.05, 0.10), (0.05, 0.10)],
        "google": [(0.001, 0.003), (0.05, 0.10), (0.05, 0.10)],
        "aws": [(0.001, 0.005), (0.05, 0.10), (0.05, 0.10)],
        "tencent": [(0.001, 0.005), (0.05, 0.09), (0.025, 0.05)],
    }


# -- Backtest ----------------------------------------------------------------------------------------------------


def history(*counts: WindowCounts) -> list[DailyCounts]:
    return [DailyCounts(T0_MS + day * DAY_MS, one) for day, one in enumerate(counts)]


def test_a_backtest_shows_the_day_on_which_policies_part() -> None:
    # 0.4 % of complaints: surely above 0.3 %, surely below 0.5 %.
    days = history(*[mail(30_000)] * 5, *[mail(30_000, complaints=120)] * 5)
    found = backtest(days, policy_a=POLICY, policy_b=PRESETS["tencent"])
    first, parted = found[0], found[1]
    assert (first.start_ms, first.grade_a, first.grade_b, first.is_different) == (
        T0_MS,
        "high",
        "high",
        False,
    )
    assert parted.start_ms == T0_MS + 5 * DAY_MS
    assert (parted.grade_a, parted.grade_b, parted.is_different) == ("bad", "low", True)


def test_a_backtest_judges_days_without_mail_too() -> None:
    days = [*history(mail(5_000)), DailyCounts(T0_MS + 40 * DAY_MS, mail(50))]
    found = backtest(days, policy_a=POLICY, policy_b=POLICY)
    assert [(change.start_ms - T0_MS) // DAY_MS for change in found] == [0, 30]
    assert [change.grade_a for change in found] == ["high", "unknown"]


def test_a_backtest_of_nothing_shows_nothing() -> None:
    assert backtest([], policy_a=POLICY, policy_b=POLICY) == []


@settings(max_examples=40)
@given(st.lists(any_mail(), max_size=8), st.randoms())
def test_the_order_of_days_does_not_matter_and_a_policy_agrees_with_itself(
    counts: list[WindowCounts], random: object
) -> None:
    days = history(*counts)
    found = backtest(days, policy_a=POLICY, policy_b=POLICY)
    random.shuffle(days)  # type: ignore[attr-defined]
    assert backtest(days, policy_a=POLICY, policy_b=POLICY) == found
    assert not any(change.is_different for change in found)
    assert all(change.before_a != change.grade_a for change in found)


# -- Tencent's levels --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "outcome", "failed"),
    [
        pytest.param(mail(400), "upgrade", [], id="clean and four fifths of the cap"),
        pytest.param(mail(349), "stay", ["volume"], id="too little for more"),
        pytest.param(mail(301, complaints=2), "downgrade", ["complaints"], id="two complaints of 301"),
        pytest.param(mail(300, complaints=2), "stay", ["volume", "complaints"], id="300 cost no level"),
        pytest.param(mail(400, complaints=2), "stay", ["complaints"], id="0.5 % exactly"),
        pytest.param(mail(360, hard=40), "downgrade", ["invalid"], id="a tenth is invalid"),
        pytest.param(mail(350, hard=50), "ban", ["invalid"], id="an eighth is invalid"),
        pytest.param(mail(370, refused=30), "downgrade", ["spam_bounces"], id="7.5 % refused"),
        pytest.param(mail(330, refused=70), "ban", ["spam_bounces"], id="a sixth refused"),
        pytest.param(
            replace(mail(250), soft_bounce_count=150), "downgrade", ["delivery"], id="hardly delivered"
        ),
        pytest.param(
            replace(mail(250), send_count=400), "downgrade", ["delivery"], id="most still on the way"
        ),
    ],
)
def test_a_day_is_judged_as_tencent_writes(day: WindowCounts, outcome: str, failed: list[str]) -> None:
    view = tencent_view(1, day)
    assert (view.outcome, [condition.name for condition in view.failed]) == (outcome, failed)


def test_opens_are_a_second_way_up() -> None:
    day = replace(mail(370, hard=24), soft_bounce_count=0)
    assert tencent_view(1, day).outcome == "stay"
    assert tencent_view(1, day, open_rate=0.6).outcome == "upgrade"
    assert tencent_view(1, day, open_rate=0.5).outcome == "stay"


@given(st.integers(1, 20), any_mail(2_000), st.none() | st.floats(0, 1))
def test_levels_move_by_one_and_stay_on_the_ladder(
    level: int, day: WindowCounts, open_rate: float | None
) -> None:
    view = tencent_view(level, day, open_rate=open_rate)
    assert 1 <= view.next_level <= 20
    assert abs(view.next_level - level) <= 1
    assert view.daily_cap == DAILY_CAPS[level - 1]
    assert (view.outcome == "upgrade") == (not view.failed)
    for condition in (*view.failed, *view.upgrade_ways[0], *view.upgrade_ways[1]):
        assert condition.is_met == (condition.distance_count == 0)


def test_the_distance_to_a_condition_is_what_it_takes() -> None:
    day = mail(990, complaints=5, hard=60)
    far = {condition.name: condition.distance_count for condition in tencent_view(3, day).failed}
    assert far == {"volume": 350, "invalid": 8, "complaints": 4}
    near = mail(990, complaints=1, hard=52)
    assert {c.name for c in tencent_view(3, near + mail(358)).failed} == set()


@pytest.mark.parametrize("level", [0, 21])
def test_there_are_twenty_levels(level: int) -> None:
    with pytest.raises(DataError) as caught:
        tencent_view(level, mail(1))
    assert caught.value.field == "level"


# -- Actions -----------------------------------------------------------------------------------------------------


def advised(counts: WindowCounts, policy: ReputationPolicy = POLICY, advice: str = "none") -> tuple[str, ...]:
    return actions(score(evidence_of(counts), policy), advice)  # type: ignore[arg-type]


def test_the_mail_flow_comes_first_then_the_weakest_factor() -> None:
    found = advised(mail(5_000, complaints=40, hard=400), advice="pause")
    assert found == (
        "pause",
        "mail_willing_recipients",
        "unsubscribe_in_one_click",
        "remove_dead_addresses",
        "check_where_addresses_come_from",
    )


def test_each_kind_of_refusal_has_its_remedy_the_commonest_first() -> None:
    counts = replace(
        mail(500),
        soft_bounce_count=100,
        standing_refusal_count=20,
        authentication_refusal_count=70,
    )
    assert advised(counts) == ("fix_authentication", "restore_standing")


def test_what_is_not_sure_is_watched() -> None:
    assert advised(mail(900, complaints=2)) == ("watch_complaints",)


def test_without_mail_there_is_nothing_to_do_but_to_send() -> None:
    assert advised(mail(20)) == ("send_more",)
    assert advised(mail(5_000)) == ("nothing",)


@given(any_mail())
def test_there_is_always_something_to_say(counts: WindowCounts) -> None:
    found = advised(counts)
    assert found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_action_and_grade_has_words_of_its_own(lang: str) -> None:
    said = [action_text(code, lang) for code in ACTION_CODES] + [grade_text(g, lang) for g in GRADES]
    assert len(set(said)) == len(said)
    assert all(text.endswith(".") for text in said)


def test_a_region_is_its_language_and_an_unknown_language_english() -> None:
    assert action_text("pause", "id-ID") == action_text("pause", "id") != action_text("pause")
    assert grade_text("bad", "xx") == grade_text("bad")
