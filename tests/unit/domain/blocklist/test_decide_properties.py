"""Order, repetition and fault: what must hold for every history of an address."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.blocklist import (
    DEFAULT_POLICY,
    Blocked,
    Policy,
    Released,
    Signal,
    TimePassed,
    bounce_evidence,
    decide,
    standing,
)
from postloop.domain.blocklist.policy import DAY_MS
from postloop.domain.bounce import FACTS, REASONS
from tests.unit.domain.blocklist.histories import (
    ADDRESS,
    NOW_MS,
    about_address,
    about_domain,
    bounces_and_deliveries,
    delivered,
    hard,
    play,
    soft,
)

_POLICIES = [
    pytest.param(DEFAULT_POLICY, id="published rules"),
    pytest.param(Policy(release_on_delivery=True), id="release on delivery"),
    pytest.param(Policy(lease_ms_of={"host_unknown": 3 * DAY_MS}), id="shorter for unknown hosts"),
]


@pytest.mark.parametrize("policy", _POLICIES)
@given(data=st.data(), history=st.lists(about_address, max_size=8) | st.lists(about_domain, max_size=8))
def test_any_order_and_repetition_of_a_history_ends_in_the_same_state(
    policy: Policy, data: st.DataObject, history: list[Signal]
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(history), max_size=4)) if history else []
    other = data.draw(st.permutations([*history, *repeats]))

    first, _ = play(history, policy=policy)
    second, _ = play(other, policy=policy)

    assert _state(first, policy) == _state(second, policy)


def _state(entry: Any, policy: Policy) -> Any:
    if entry is None:
        return None
    return standing(entry, policy, now_ms=NOW_MS), entry.told is not None, entry.evidence, entry.release


@given(st.lists(about_address, max_size=8) | st.lists(about_domain, max_size=8))
def test_what_was_told_is_what_stands(history: list[Signal]) -> None:
    entry, _ = play(history)

    if entry is not None:
        block = standing(entry, DEFAULT_POLICY, now_ms=NOW_MS)
        assert (entry.told is None) == (block is None)
        if entry.told is not None and block is not None and block.expires_ms is not None:
            assert entry.told.block.expires_ms is not None
            assert entry.told.block.expires_ms >= block.expires_ms


@given(st.lists(about_address, max_size=8) | st.lists(about_domain, max_size=8))
def test_a_block_is_inserted_once_extended_to_later_ends_and_released_once(history: list[Signal]) -> None:
    _, told = play(history)

    open_entry, end = None, 0.0
    ids = [
        change.told.event_id if isinstance(change, Blocked) else change.event_id
        for change in told
        if isinstance(change, Blocked | Released)
    ]
    assert len(ids) == len(set(ids))
    for change in told:
        if isinstance(change, Blocked):
            new_end = change.told.block.expires_ms or float("inf")
            if change.told.change == "inserted":
                assert open_entry is None
            else:
                assert change.told.entry_id == open_entry
                assert new_end > end
            open_entry, end = change.told.entry_id, new_end
        elif isinstance(change, Released):
            assert change.told.entry_id == open_entry
            open_entry = None


@given(st.lists(bounces_and_deliveries, max_size=8) | st.lists(about_domain, max_size=8), st.integers(0, 40))
def test_a_repeated_history_publishes_the_same_ids_and_changes_nothing(
    history: list[Signal], days_later: int
) -> None:
    entry, first = play(history)
    ids = {c.told.event_id for c in first if isinstance(c, Blocked)}

    again, second = play(history, entry=entry)
    _, third = play(history, now_ms=NOW_MS + days_later * DAY_MS)

    assert _state(again, DEFAULT_POLICY) == _state(entry, DEFAULT_POLICY)
    assert not [c for c in second if isinstance(c, Blocked | Released)]
    assert {c.told.event_id for c in third if isinstance(c, Blocked)} <= ids


@given(
    outcome=st.sampled_from(["hard_bounce", "soft_bounce", "deferral"]),
    reason=st.sampled_from(REASONS),
    hard_=st.booleans(),
)
def test_only_the_recipients_own_fault_is_evidence(outcome: str, reason: str, hard_: bool) -> None:
    evidence = bounce_evidence(
        outcome=outcome,
        reason=reason,
        hard=hard_,
        fault=FACTS[reason].fault,
        at_ms=NOW_MS,
        account_id="a",
        event_id="e",
        soft_reasons=DEFAULT_POLICY.soft_reasons,
    )

    may = FACTS[reason].fault == "recipient" and outcome != "deferral"
    assert (evidence is not None) == (may and (hard_ or reason in ("mailbox_full", "mailbox_disabled")))


@given(
    st.lists(
        st.one_of(st.builds(hard, st.just(NOW_MS)), st.builds(soft, st.just(NOW_MS))), min_size=1, max_size=5
    ),
    st.integers(0, 14 * DAY_MS - 1),
    st.lists(st.integers(0, 14), max_size=5),
)
def test_a_lease_is_not_shortened_by_time_or_deliveries(
    history: list[Signal], later_ms: int, delivery_days: list[int]
) -> None:
    entry, _ = play([hard(NOW_MS), *history])
    entry, told = play([delivered(NOW_MS + day * DAY_MS) for day in delivery_days], entry=entry)
    entry, changes = decide(
        entry, TimePassed(scope="global", recipient=ADDRESS), DEFAULT_POLICY, NOW_MS + later_ms
    )

    assert not told and not changes
    assert entry.told is not None
