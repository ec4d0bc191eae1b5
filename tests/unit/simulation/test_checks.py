from hypothesis import given
from hypothesis import strategies as st

from postloop.simulation.checks import MAX_SHOWN, compare, exactly, expect, within

KEY = (0, ("acme", "gmail"))


def check(expected: dict[object, tuple[object, ...]], observed: dict[object, tuple[object, ...]]) -> object:
    return compare("x", columns=("a", "b"), expected=expected, observed=observed)  # type: ignore[arg-type]


def test_equal_tables_do_not_differ() -> None:
    assert check({KEY: (1, 2)}, {KEY: (1, 2)}).is_good  # type: ignore[attr-defined]


def test_a_row_that_one_side_lacks_counts_as_zeros() -> None:
    for expected, observed in (({KEY: (0, 0)}, {}), ({}, {KEY: (0, 0)})):
        assert check(expected, observed).is_good  # type: ignore[attr-defined]
    for expected, observed in (({KEY: (0, 1)}, {}), ({}, {KEY: (0, 1)})):
        assert check(expected, observed).difference_count == 1  # type: ignore[attr-defined]


def test_a_difference_names_place_column_and_both_numbers() -> None:
    place = (1_795_450_020, ("acme", ""))
    found = check({place: (1, 2)}, {place: (1, 3_000)})
    assert found.differences == ["2026-11-23 16:07 acme / -: b 3,000 instead of 2"]  # type: ignore[attr-defined]


def test_all_differences_are_counted_and_the_first_are_shown() -> None:
    rows = {(i, ("a",)): (i, 0) for i in range(1, 51)}
    found = check(rows, {})  # type: ignore[arg-type]
    assert (found.difference_count, len(found.differences)) == (50, MAX_SHOWN)  # type: ignore[attr-defined]


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_exact_columns_agree_only_when_equal(a: int, b: int) -> None:
    assert exactly(a, b) == (a == b)


@given(st.integers(301, 10**9))
def test_an_estimate_may_be_off_by_its_share_and_no_more(n: int) -> None:
    agrees = within(0.02, exact_up_to=300)
    assert agrees(n, n * 1.0199) and agrees(n, n * 0.9801)
    assert not agrees(n, n * 1.021) and not agrees(n, n * 0.979)


@given(st.integers(0, 300), st.integers(1, 5))
def test_small_estimates_must_be_exact(n: int, off: int) -> None:
    agrees = within(0.02, exact_up_to=300)
    assert agrees(n, n)
    assert not agrees(n, n + off)


def test_a_rate_without_denominator_agrees_with_none_only() -> None:
    assert within(0.5)(None, None)
    assert not within(0.5)(None, 0.0)
    assert not within(0.5)(0.1, None)


def test_named_numbers_are_compared_by_name_and_absent_ones_are_zero() -> None:
    found = expect("x", expected={"send": 3, "open": 0}, observed={"send": 2, "bounce": 1})
    assert found.differences == ["send: 2 instead of 3", "bounce: 1 instead of 0"]
