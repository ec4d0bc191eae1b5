"""A change on a shared pool falls into the pool's part and the sender's own; a dedicated pool has nobody else."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError
from postloop.domain.event_types import IpPoolKind
from postloop.domain.pool import Change, Measure, Side, Verdict, compare, decompose, describe

QUIET = Side(100, 10_000)


def change(
    own_before: Side,
    own_after: Side,
    rest_before: Side = QUIET,
    rest_after: Side = QUIET,
    *,
    kind: IpPoolKind = "shared",
    measure: Measure = "hard_bounce",
) -> Change:
    return decompose(
        measure=measure,
        kind=kind,
        own_before=own_before,
        own_after=own_after,
        rest_before=rest_before,
        rest_after=rest_after,
    )


@pytest.mark.parametrize(
    ("own", "rest", "verdict"),
    [
        pytest.param((100, 200), (500, 1_000), "common", id="everybody doubles"),
        pytest.param((100, 200), (500, 500), "own", id="only we double"),
        pytest.param((100, 600), (500, 1_000), "both", id="everybody doubles, and we more"),
        pytest.param((100, 100), (500, 1_000), "both", id="everybody doubles, and we are spared"),
        pytest.param((100, 110), (500, 520), "none", id="no more than chance"),
    ],
)
def test_the_rest_of_the_pool_tells_whose_change_it_is(
    own: tuple[int, int], rest: tuple[int, int], verdict: Verdict
) -> None:
    found = change(Side(own[0], 10_000), Side(own[1], 10_000), Side(rest[0], 50_000), Side(rest[1], 50_000))
    assert found.verdict == verdict


def test_little_mail_on_any_side_gives_no_verdict() -> None:
    few, many = Side(50, 99), Side(500, 10_000)
    for place in range(4):
        sides = [few if n == place else many for n in range(4)]
        assert change(*sides).verdict == "not_enough_data"


sides = st.integers(0, 20_000).flatmap(
    lambda cases: st.builds(Side, st.integers(0, cases + 5), st.just(cases))
)
kinds = st.sampled_from(get_args(IpPoolKind))


@given(sides, sides, sides, sides, kinds)
def test_the_parts_add_up_and_the_common_part_leaves_a_rate(
    own_before: Side, own_after: Side, rest_before: Side, rest_after: Side, kind: IpPoolKind
) -> None:
    found = change(own_before, own_after, rest_before, rest_after, kind=kind)
    if found.before_rate is None or found.after_rate is None:
        assert found.own_part is None
        return
    assert found.own_part is not None
    common = found.common_part or 0.0
    assert common + found.own_part == pytest.approx(found.after_rate - found.before_rate, abs=1e-12)
    assert 0 <= found.before_rate + common <= 1 + 1e-12


@given(sides, sides, sides, sides, st.sampled_from(["dedicated", "unknown"]))
def test_a_pool_that_is_not_shared_never_looks_at_others(
    own: Side, after: Side, one: Side, other: Side, kind: IpPoolKind
) -> None:
    assert change(own, after, one, other, kind=kind) == change(own, after, other, one, kind=kind)
    assert change(own, after, one, other, kind=kind).common_part is None
    assert compare(measure="open", kind=kind, own=own, rest=one).rest is None
    assert compare(measure="open", kind="shared", own=own, rest=one).rest == one


@given(sides, sides, st.integers(1, 10_000), st.data())
def test_the_common_part_has_the_sign_of_what_the_rest_went_through(
    before: Side, after: Side, cases: int, data: st.DataObject
) -> None:
    fewer, more = sorted(data.draw(st.tuples(st.integers(0, cases), st.integers(0, cases))))
    worse = change(before, after, Side(fewer, cases), Side(more, cases)).common_part
    better = change(before, after, Side(more, cases), Side(fewer, cases)).common_part
    if worse is not None and better is not None:
        assert better <= 0 <= worse


def test_equal_windows_seldom_differ() -> None:
    rng = np.random.default_rng(5)
    drawn = rng.binomial(5_000, 0.02, (400, 2)), rng.binomial(50_000, 0.01, (400, 2))
    wrong = sum(
        change(
            Side(int(o[0]), 5_000), Side(int(o[1]), 5_000), Side(int(r[0]), 50_000), Side(int(r[1]), 50_000)
        ).verdict
        != "none"
        for o, r in zip(*drawn, strict=True)
    )
    assert wrong <= 0.08 * 400


def test_an_empty_rest_is_nobody_to_compare_with() -> None:
    found = change(Side(100, 10_000), Side(300, 10_000), Side(0, 0), Side(0, 0))
    assert (found.verdict, found.common_part) == ("own", None)


def test_a_rate_has_the_interval_of_its_volume() -> None:
    assert Side(1, 10).interval == pytest.approx((0.018, 0.404), abs=1e-3)
    assert Side(12, 10).rate == 1.0
    with pytest.raises(DataError, match="start at 0"):
        Side(-1, 2)


def test_the_sentence_names_both_parts_in_both_languages() -> None:
    found = change(Side(100, 10_000), Side(600, 10_000), Side(500, 50_000), Side(1_000, 50_000))
    assert describe(found) == (
        "Your hard bounce rate went from 1.00 % to 6.00 %. +1.00 points of that the other senders of your shared pool"
        " went through too, +4.00 points is your own."
    )
    assert "+4,00 poin persen dari Anda sendiri" in describe(found, "id-ID")
    alone = change(Side(100, 10_000), Side(600, 10_000), kind="dedicated")
    assert "Nobody else sends from your pool" in describe(alone)
    assert describe(change(Side(0, 0), Side(1, 2))) == "There is no mail to compare."


@pytest.mark.parametrize("lang", ["en", "id"])
def test_every_verdict_has_its_own_words(lang: str) -> None:
    found = change(Side(100, 10_000), Side(600, 10_000))
    texts = {describe(replace(found, verdict=verdict), lang) for verdict in get_args(Verdict)}
    assert len(texts) == len(get_args(Verdict))
    assert all(
        describe(replace(found, measure=measure), lang) != describe(found, lang)
        for measure in get_args(Measure)
        if measure != found.measure
    )
