"""What is handed in goes where it says itself; what is told for all counts for the rest."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.decode import Limits
from postloop.contracts.handed_in import HandedIn, read_handed_in
from postloop.domain.event_types import EVENT_TYPES, EventType
from tests.unit.contracts.conftest import ENVELOPE, NOW

KINDS = st.sampled_from(EVENT_TYPES)


def handed_in(value: Any, told: EventType | None = None) -> HandedIn:
    limits = Limits(retention=timedelta(days=400))
    return read_handed_in(json.dumps(value).encode(), event_type=told, now=NOW, limits=limits, hint="--type")


@given(own=KINDS, told=st.none() | KINDS, form=st.sampled_from(["{}", "email.{}"]))
def test_the_type_that_an_event_says_counts_whatever_is_told_for_all(
    own: EventType, told: EventType | None, form: str
) -> None:
    read = handed_in({**ENVELOPE, "type": form.format(own)}, told)
    assert (read.event_type, read.problems) == (own, ())


@pytest.mark.parametrize(
    "own", [{}, {"type": None}, {"type": "Permanent"}, {"type": ["send"]}], ids=lambda own: str(own)
)
def test_what_is_told_counts_for_an_event_that_says_no_type_of_ours(own: dict[str, Any]) -> None:
    assert (handed_in({**ENVELOPE, **own}, "open").event_type) == "open"
    assert [reason.code for _, reason in handed_in({**ENVELOPE, **own}).problems] == ["unknown_type"]


def test_an_array_that_holds_another_type_than_is_told_is_refused_and_names_the_element() -> None:
    events = [{**ENVELOPE, "type": "open"}, ENVELOPE, {**ENVELOPE, "type": "email.send"}]
    read = handed_in(events, "open")
    assert [(place, reason.code, reason.field) for place, reason in read.problems] == [
        (2, "other_type", "type")
    ]
    assert handed_in(events[:2], "open").problems == ()
