"""From an event to deliveries, and what stands in the topics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.contracts.webhook_delivery import (
    REMEMBER_DELAYED_MS,
    deliveries_from_bytes,
    deliveries_of,
    deliveries_to_bytes,
    delivery_from_bytes,
    delivery_to_bytes,
    fast_json,
)
from postloop.domain.errors import DataError
from postloop.domain.webhook.bodies import body_of, plain_json
from postloop.domain.webhook.matching import Directory
from tests.unit.contracts.webhooks import NOW_MS, endpoint, notices


def test_each_endpoint_gets_its_own_delivery_and_a_disabled_one_can_recover_it() -> None:
    _, delayed, bounced, *_ = notices()
    states = {"ep_1": "active", "ep_2": "paused", "ep_3": "disabled"}
    ends = [endpoint(endpoint_id=name, state=state) for name, state in states.items()]
    old = endpoint(endpoint_id="ep_4", state="disabled", state_ms=0)
    found = list(deliveries_of(bounced, Directory([*ends, old]), now_ms=NOW_MS))
    assert {one.endpoint_id: (one.state, one.cause) for one in found} == {
        "ep_1": ("waiting", ""),
        "ep_2": ("waiting", ""),
        "ep_3": ("dead", "disabled"),
    }
    assert [one.body.encode() for one in found] == [body_of(bounced, one) for one in ends]
    assert len({one.webhook_id for one in found}) == 3
    [first, *_] = deliveries_of(delayed, Directory(ends), now_ms=NOW_MS)
    assert (first.remember_ms, found[0].remember_ms) == (REMEMBER_DELAYED_MS, 0)


def test_deliveries_come_back_from_the_topics_as_they_were() -> None:
    made = [one for n in notices() for one in deliveries_of(n, Directory([endpoint()]), now_ms=NOW_MS)]
    made.append(replace(made[0], event_id="é", body="ü", state="remembered", attempt_count=3, version=9))
    assert deliveries_from_bytes(deliveries_to_bytes(made)) == made
    assert [delivery_from_bytes(delivery_to_bytes(one)) for one in made] == made


def test_bytes_that_are_no_deliveries_can_never_be_read() -> None:
    with pytest.raises(DataError, match="no deliveries"):
        deliveries_from_bytes(b'[{"webhook_id":1}]')


texts = st.text(st.characters())  # surrogates among them
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(texts, values, max_size=4))
def test_the_fast_encoder_writes_the_bytes_of_the_plain_one(value: dict[str, Any]) -> None:
    assert fast_json(value) == plain_json(value)


def test_no_body_depends_on_the_encoder() -> None:
    to = endpoint()
    for notice in notices():
        for one in deliveries_of(notice, Directory([to]), now_ms=NOW_MS):
            assert one.body.encode() == body_of(notice, to)
