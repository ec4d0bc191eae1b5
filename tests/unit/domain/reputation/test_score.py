"""The score: bounded, monotone, and right at the reference points."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.domain.bounce import FACTS
from postloop.domain.errors import DataError
from postloop.domain.reputation import (
    DAY_MS,
    DEFAULT_REPUTATION_POLICY,
    FACTORS,
    HOUR_MS,
    PRESETS,
    Bucket,
    Evidence,
    ReputationPolicy,
    Score,
    WindowCounts,
    all_rates,
    evidence_at,
    evidence_of,
    refusal_kind,
    score,
)
from postloop.domain.reputation.score import factor_score
from tests.unit.domain.reputation.mail import T0_MS, any_mail, mail

POLICY = DEFAULT_REPUTATION_POLICY
BANDS = {"high": (80, 100), "medium": (60, 79), "low": (40, 59), "bad": (0, 39)}
POLICIES = st.sampled_from(sorted(PRESETS.values(), key=repr))


def judged(counts: WindowCounts, policy: ReputationPolicy = POLICY) -> Score:
    return score(evidence_of(counts), policy)


def number(counts: WindowCounts, policy: ReputationPolicy = POLICY) -> float:
    value = judged(counts, replace(policy, min_outcome_count=1)).score
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("counts", "grade"),
    [
        pytest.param(mail(10_000, complaints=50), "bad", id="50 complaints in 10,000"),
        pytest.param(mail(99), "unknown", id="99 outcomes are none"),
        pytest.param(mail(99, complaints=60), "unknown", id="however bad they are"),
        pytest.param(mail(100), "high", id="100 clean ones"),
        pytest.param(mail(10_000, complaints=20), "low", id="surely above the warning limit"),
        pytest.param(mail(300, complaints=1), "high", id="one complaint of a small day"),
        pytest.param(mail(800, hard=200), "bad", id="a fifth of the addresses is dead"),
        pytest.param(mail(800, refused=200), "bad", id="a fifth is refused"),
        pytest.param(mail(10_000), "high", id="nothing wrong"),
    ],
)
def test_a_reference_point_has_its_grade(counts: WindowCounts, grade: str) -> None:
    assert judged(counts).grade == grade


@given(st.integers(100, 20_000), st.integers(1, 20_000), st.permutations([3, 0, 0]), POLICIES)
def test_three_bad_mails_never_make_bad(
    delivered: int, reporting: int, bad: list[int], policy: ReputationPolicy
) -> None:
    counts = replace(
        mail(delivered, complaints=bad[0], hard=bad[1], refused=bad[2]),
        reporting_delivered_count=min(reporting, delivered),
    )
    assert judged(counts, policy).grade in ("high", "medium")


@given(st.integers(10_000, 2_000_000), st.sampled_from(["default", "google"]))
def test_half_a_per_cent_of_complaints_in_10_000_sends_is_always_bad(delivered: int, preset: str) -> None:
    assert judged(mail(delivered, complaints=-(-delivered // 200)), PRESETS[preset]).grade == "bad"


@given(any_mail(), POLICIES)
def test_a_score_lies_in_the_band_of_its_grade(counts: WindowCounts, policy: ReputationPolicy) -> None:
    found = judged(counts, policy)
    if found.grade == "unknown":
        assert found.score is None
    else:
        low, high = BANDS[found.grade]
        assert found.score is not None
        assert low <= found.score <= high


@given(any_mail(), POLICIES, st.sampled_from(["complaints", "hard", "refused"]))
def test_one_bad_mail_more_never_raises_the_score(
    counts: WindowCounts, policy: ReputationPolicy, kind: str
) -> None:
    changed = {
        "complaints": replace(counts, complaint_count=counts.complaint_count + 1),
        "hard": replace(counts, hard_bounce_count=counts.hard_bounce_count + 1),
        "refused": replace(
            counts,
            soft_bounce_count=counts.soft_bounce_count + 1,
            standing_refusal_count=counts.standing_refusal_count + 1,
        ),
    }[kind]
    own = {"complaints": "complaints", "hard": "hard_bounces", "refused": "refusals"}[kind]
    before = {factor.name: factor.score for factor in judged(counts, policy).factors}
    after = {factor.name: factor.score for factor in judged(changed, policy).factors}
    assert after[own] <= before[own]  # type: ignore[index]
    if kind == "complaints":
        assert number(changed, policy) <= number(counts, policy)


@given(any_mail(), POLICIES)
def test_one_delivery_more_never_lowers_the_score(counts: WindowCounts, policy: ReputationPolicy) -> None:
    assert number(counts + mail(1), policy) >= number(counts, policy)


@given(any_mail())
def test_the_weakest_factor_rules(counts: WindowCounts) -> None:
    found = judged(counts, replace(POLICY, min_outcome_count=1))
    assert found.score == min(factor.score for factor in found.factors)
    assert found.factors[0].score == found.score
    assert sum(factor.weight for factor in found.factors) == pytest.approx(
        0 if found.score == 100 else 1, abs=0.002
    )


@given(any_mail(), POLICIES)
def test_what_is_surely_above_a_limit_holds_the_score(counts: WindowCounts, policy: ReputationPolicy) -> None:
    for factor in judged(counts, policy).factors:
        limits = policy.limits_of(factor.name)
        is_enough = factor.rate.bad_count >= policy.min_bad_count
        if is_enough and factor.rate.low > limits.critical_rate:
            assert (factor.verdict, factor.score <= 39) == ("critical", True)
        elif is_enough and factor.rate.low > limits.warning_rate:
            assert (factor.verdict, 40 <= factor.score <= 59) == ("warning", True)
        else:
            assert factor.score >= 60
            assert (factor.verdict == "watch") == ((factor.rate.rate or 0) > limits.warning_rate)


@settings(max_examples=60)
@given(any_mail(2_000), POLICIES)
def test_so_many_bad_mails_fewer_and_not_one_less_reach_the_next_grade(
    counts: WindowCounts, policy: ReputationPolicy
) -> None:
    for factor in judged(counts, policy).factors:
        if factor.to_next_grade is None:
            assert factor.score >= 80
            continue
        base = max(factor.rate.base_count, factor.rate.bad_count)
        scores = [
            factor_score(
                bad_count=factor.rate.bad_count - fewer,
                base_count=base,
                limits=policy.limits_of(factor.name),
                policy=policy,
            )
            for fewer in (0, factor.to_next_grade - 1, factor.to_next_grade)
        ]
        bottom = next(low for low, high in BANDS.values() if low <= scores[0] <= high)
        top = BANDS[next(name for name, band in BANDS.items() if band[0] == bottom)][1]
        assert scores[1] <= top < scores[2]
        assert factor.next_grade_rate == (factor.rate.bad_count - factor.to_next_grade) / base


def test_within_a_grade_the_score_falls_evenly() -> None:
    scores = [number(mail(1_000_000, complaints=count)) for count in range(0, 6_000, 10)]
    steps = [a - b for a, b in pairwise(scores)]
    assert min(steps) >= 0
    assert max(steps) <= 1.5


def test_a_watched_limit_is_named_and_changes_nothing() -> None:
    first = judged(mail(900, complaints=2)).factors[0]
    assert (first.verdict, first.watched_rate) == ("watch", 0.001)
    held = judged(mail(2_000, complaints=9)).factors[0]
    assert (held.verdict, held.watched_rate) == ("warning", 0.003)


def test_without_deliveries_to_providers_that_report_there_is_no_opinion_on_complaints() -> None:
    found = judged(replace(mail(5_000, complaints=40), reporting_delivered_count=0))
    complaints = next(factor for factor in found.factors if factor.name == "complaints")
    assert (complaints.rate.rate, complaints.verdict, complaints.score) == (None, "not_enough_data", 100)


def test_a_rate_is_capped_where_feedback_exceeds_the_mail() -> None:
    assert all_rates(mail(3, complaints=9), z=1.96)["complaints"].rate == 1


def test_what_the_own_list_stopped_and_what_the_platform_refused_is_in_no_rate() -> None:
    plain = mail(1_000, hard=10, refused=5)
    more = replace(plain, suppressed_count=500, rejected_count=500, send_count=2_000)
    assert all_rates(more, z=1.96) == all_rates(plain, z=1.96)


def test_the_rate_to_display_lies_between_what_was_seen_and_what_is_usual() -> None:
    rate = all_rates(mail(300, complaints=30), z=1.96)["complaints"]
    assert rate.shrunk(prior_rate=0.001, prior_count=1_000) == pytest.approx(0.0238, abs=1e-4)
    assert rate.shrunk(prior_rate=0.001, prior_count=0) == rate.rate


def test_every_fault_of_the_sender_has_a_remedy_and_no_other() -> None:
    kinds = {reason: refusal_kind(reason) for reason in FACTS}
    assert {r for r, kind in kinds.items() if kind} == {r for r, f in FACTS.items() if f.fault == "sender"}
    assert [kinds["spam_content"], kinds["auth_failure"], kinds["sender_blocked"]] == [
        "content",
        "authentication",
        "standing",
    ]


@pytest.mark.parametrize(
    ("counts", "field"),
    [
        pytest.param({"complaint_count": -1}, "complaint_count", id="negative"),
        pytest.param(
            {"content_refusal_count": 2, "soft_bounce_count": 1}, "refusals", id="more than bounces"
        ),
        pytest.param({"reporting_delivered_count": 1}, "reporting_delivered_count", id="more than delivered"),
    ],
)
def test_impossible_counts_are_refused(counts: dict[str, int], field: str) -> None:
    with pytest.raises(DataError) as caught:
        WindowCounts(**counts)
    assert caught.value.field == field


# -- Windows -----------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 35 * 24), any_mail(500)), max_size=12), st.randoms())
def test_splitting_and_shuffling_buckets_changes_nothing(
    hours: list[tuple[int, WindowCounts]], random: object
) -> None:
    now_ms = T0_MS + 35 * DAY_MS
    whole = [Bucket(T0_MS + hour * HOUR_MS, counts) for hour, counts in hours]
    parts = [Bucket(b.start_ms, replace(b.counts, delivered_count=b.counts.delivered_count)) for b in whole]
    split = [Bucket(b.start_ms, _half(b.counts, first)) for b in parts for first in (True, False)]
    random.shuffle(split)  # type: ignore[attr-defined]
    evidence = [evidence_at(b, now_ms=now_ms, representative_count=800) for b in (whole, split)]
    assert evidence[0] == evidence[1]


def _half(counts: WindowCounts, first: bool) -> WindowCounts:
    if first:
        return mail(
            counts.delivered_count // 2,
            complaints=counts.complaint_count // 2,
            hard=counts.hard_bounce_count // 2,
            refused=counts.refusal_count // 2,
        )
    return mail(
        counts.delivered_count - counts.delivered_count // 2,
        complaints=counts.complaint_count - counts.complaint_count // 2,
        hard=counts.hard_bounce_count - counts.hard_bounce_count // 2,
        refused=counts.refusal_count - counts.refusal_count // 2,
    )


def test_windows_are_half_open_and_recent_takes_whole_days_until_it_is_enough() -> None:
    now_ms = T0_MS + 40 * DAY_MS
    buckets = [Bucket(now_ms - n * DAY_MS, mail(300)) for n in range(32)]
    found = evidence_at(buckets, now_ms=now_ms, representative_count=3_000)
    sizes = {name: counts.delivered_count for name, counts in found.windows.items()}
    assert sizes == {"1h": 0, "24h": 300, "7d": 2_100, "30d": 9_000, "recent": 3_000}


def test_the_day_after_a_newsletter_is_measured_against_the_newsletter() -> None:
    now_ms = T0_MS + 30 * DAY_MS
    buckets = [Bucket(T0_MS + day * DAY_MS, mail(200)) for day in range(30)]
    buckets.append(Bucket(now_ms - 2 * DAY_MS, mail(10_000)))
    buckets.append(Bucket(now_ms - DAY_MS, replace(mail(0), complaint_count=6)))
    found = evidence_at(buckets, now_ms=now_ms, representative_count=3_000)
    assert score(found, POLICY).grade == "high"
    assert score(Evidence(found.windows), POLICY).grade == "bad"


def test_old_sins_do_not_outlive_the_windows_that_are_judged() -> None:
    now_ms = T0_MS + 30 * DAY_MS
    buckets = [
        Bucket(now_ms - n * DAY_MS, mail(5_000, complaints=0 if n <= 7 else 100)) for n in range(1, 31)
    ]
    found = score(evidence_at(buckets, now_ms=now_ms, representative_count=3_000), POLICY)
    assert found.grade == "high"


def test_every_factor_is_told() -> None:
    assert {factor.name for factor in judged(mail(500)).factors} == set(FACTORS)
