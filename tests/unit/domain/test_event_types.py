"""Names on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.errors import DataError, PostloopError
from postloop.domain.event_types import EVENT_TYPES, EventType, event_type_of, topic_name

prefixes = st.text(alphabet="abc.email-_", max_size=8)


@given(st.sampled_from(EVENT_TYPES), prefixes)
def test_a_topic_tells_its_event_type(event_type: EventType, prefix: str) -> None:
    topic = topic_name(event_type, prefix=prefix)
    assert topic == f"{prefix}email.{event_type}"
    assert event_type_of(topic, prefix=prefix) == event_type


@pytest.mark.parametrize(
    ("topic", "prefix"),
    [
        pytest.param("email.click", "", id="unknown-type"),
        pytest.param("email.send", "acme.", id="prefix-missing"),
        pytest.param("acme.email.send", "", id="prefix-not-ours"),
        pytest.param("postloop.deadletter", "", id="not-an-input"),
    ],
)
def test_another_topic_is_refused(topic: str, prefix: str) -> None:
    with pytest.raises(DataError, match=topic) as caught:
        event_type_of(topic, prefix=prefix)
    assert caught.value.code == "unknown_topic"
    assert isinstance(caught.value, PostloopError)
