"""The byte checks: exact for every JSON text, whatever its strings hold."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts import json_text

NASTY = st.text(alphabet='[]{}",\\NaInfity:é\n', max_size=12)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(json_values, st.booleans())
def test_nesting_is_measured_exactly(value: Any, ascii_only: bool) -> None:
    outside = json_text.outside_strings(json.dumps(value, ensure_ascii=ascii_only).encode())
    found = depth(value)
    assert not json_text.is_deeper(outside, limit=found)
    assert found == 0 or json_text.is_deeper(outside, limit=found - 1)


@given(json_values)
def test_nan_in_a_string_is_no_nan(value: Any) -> None:
    assert not json_text.has_non_finite(json_text.outside_strings(json.dumps(value).encode()))


@given(json_values, st.sampled_from([float("nan"), float("inf"), float("-inf")]))
def test_nan_as_a_number_is_seen(value: Any, number: float) -> None:
    text = json.dumps({"a": value, "b": [number]}).encode()
    assert json_text.may_break_rules(text, limit=10_000)
    assert json_text.has_non_finite(json_text.outside_strings(text))


@given(st.lists(json_values, max_size=6), st.sampled_from([None, 1, "\t"]))
def test_an_array_is_cut_into_the_texts_of_its_elements(values: list[Any], indent: Any) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    assert json_text.is_array(text)
    elements = json_text.split_array(text, max_count=100)
    assert elements is not None
    assert [json.loads(element) for element in elements] == values


@given(st.binary(max_size=60) | st.text(alphabet='[]{},"\\ 1a', max_size=30).map(str.encode))
def test_no_bytes_break_the_scanners(text: bytes) -> None:
    outside = json_text.outside_strings(text)
    json_text.has_non_finite(outside)
    json_text.is_deeper(outside, limit=3)
    json_text.split_array(text, max_count=3)
    json_text.is_json(text)


def test_a_flood_of_elements_is_cut_short() -> None:
    elements = json_text.split_array(b"[" + b"1," * 500_000 + b"1]", max_count=10)
    assert elements is not None
    assert len(elements) == 11
