"""Campaigns are ranked by what they surely do, and complaints are never paid with opens."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.opens import Campaign, rank_campaigns


def campaign(name: str, visible: int, human: int, *, complaints: int = 0) -> Campaign:
    return Campaign(
        name=name,
        visible_count=visible,
        human_count=human,
        reporting_count=visible,
        complaint_count=complaints,
    )


def test_better_subjects_stand_first_and_those_that_draw_complaints_last() -> None:
    ranked = rank_campaigns(
        [
            campaign("plain", 5_000, 2_000, complaints=5),
            campaign("sharp", 5_000, 2_500, complaints=5),
            campaign("shrill", 5_000, 3_500, complaints=60),
            campaign("dull", 5_000, 1_000, complaints=5),
        ]
    )
    assert [c.campaign.name for c in ranked] == ["sharp", "plain", "dull", "shrill"]
    assert [c.opens.effect for c in ranked] == ["better", "worse", "worse", "better"]
    assert [c.complaints.effect for c in ranked][-1] == "worse"


def test_luck_with_few_deliveries_wins_nothing() -> None:
    ranked = rank_campaigns(
        [campaign("lucky", 10, 9), campaign("a", 5_000, 2_500), campaign("b", 5_000, 2_000)]
    )
    assert ranked[0].campaign.name == "a"
    assert {c.campaign.name: c.opens.effect for c in ranked}["lucky"] == "not_enough_data"


def test_one_campaign_alone_has_nothing_to_compare_with() -> None:
    (only,) = rank_campaigns([campaign("only", 5_000, 2_500)])
    assert (only.opens.rate, only.opens.difference, only.opens.effect) == (0.5, None, "not_enough_data")
    assert rank_campaigns([]) == []


def test_of_twenty_equal_campaigns_hardly_one_ranking_in_twenty_finds_a_difference() -> None:
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(100):
        humans = rng.binomial(1_000, 0.3, 20)
        ranked = rank_campaigns([campaign(str(n), 1_000, int(h)) for n, h in enumerate(humans)])
        wrong += any(c.opens.effect in ("better", "worse") for c in ranked)
    assert wrong <= 10


some = st.lists(
    st.tuples(st.integers(0, 3_000), st.floats(0, 1), st.integers(0, 30)).map(
        lambda drawn: campaign("c", drawn[0], int(drawn[0] * drawn[1]), complaints=min(drawn[2], drawn[0]))
    ),
    max_size=6,
)


@given(some)
def test_every_difference_lies_in_its_interval(campaigns: list[Campaign]) -> None:
    ranked = rank_campaigns(campaigns)
    assert len(ranked) == len(campaigns)
    for one in ranked:
        for side in (one.opens, one.complaints):
            assert -1 - 1e-9 <= side.interval.low <= side.interval.high <= 1 + 1e-9
            if side.difference is not None:
                assert side.interval.low - 1e-9 <= side.difference <= side.interval.high + 1e-9
