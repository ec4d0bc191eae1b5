"""A cursor says what it was given, and anything else is refused with one reason."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.cursor import cursor_of, place_of
from postloop.domain.errors import DataError

PLACES = st.tuples(
    st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8")), st.none() | st.floats(0, 100)
)
KINDS: tuple[Any, ...] = (int, str, (float, type(None)))


@given(PLACES)
def test_a_cursor_says_what_it_was_given(place: tuple[int, str, float | None]) -> None:
    assert place_of(cursor_of(place), *KINDS) == list(place)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(DataError) as refused:
        place_of(text, *KINDS)
    assert refused.value.code == "invalid_cursor"


@pytest.mark.parametrize(
    "place",
    [
        pytest.param([2**63, "a", None], id="beyond Int64"),
        pytest.param([True, "a", None], id="true is no number"),
        pytest.param([1, "\ud800", None], id="half a surrogate pair"),
        pytest.param([1, "a"], id="of another list"),
        pytest.param({"1": 2}, id="no list"),
    ],
)
def test_what_the_database_cannot_be_asked_is_no_cursor(place: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()
    with pytest.raises(DataError):
        place_of(text, *KINDS)
