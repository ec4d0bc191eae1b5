"""Which variants there are, and in which order they run."""

import pytest
from bench.environments import ROOT
from bench.registry import VARIANTS, UnknownNameError, Variant, chosen, rotated
from hypothesis import given
from hypothesis import strategies as st


def test_the_variants_have_the_names_that_were_promised() -> None:
    names = "postloop faust-each faust-take quix bytewax aiokafka confluent ceiling"
    assert list(VARIANTS) == names.split()


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda v: v.name)
def test_a_variant_has_its_module_and_pinned_requirements(variant: Variant) -> None:
    if not variant.is_product:
        assert (ROOT / f"{variant.module.replace('.', '/')}.py").is_file()
    if variant.environment is not None:
        text = (ROOT / "bench" / f"requirements-{variant.environment}.txt").read_text()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert lines
        assert all("==" in line for line in lines)


def test_only_postloop_is_the_product() -> None:
    assert [v.name for v in VARIANTS.values() if v.is_product] == ["postloop"]


def test_no_names_mean_all_variants() -> None:
    assert chosen("") == list(VARIANTS.values())


def test_names_are_taken_once_and_in_the_order_given() -> None:
    assert [v.name for v in chosen(" quix, postloop,quix,")] == ["quix", "postloop"]


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        UnknownNameError, match=r"'confluen' is not one of postloop.*did you mean confluent\?"
    ):
        chosen("postloop,confluen")


@given(st.integers(1, 8), st.integers(0, 50))
def test_a_round_has_every_variant_once_and_starts_one_later(count: int, number: int) -> None:
    variants = list(VARIANTS.values())[:count]
    order = rotated(variants, number)
    assert sorted(v.name for v in order) == sorted(v.name for v in variants)
    assert order[0] == variants[number % count]
