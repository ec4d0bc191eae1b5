"""What becomes of a hard bounce: the holds of a provider, and what an outage had blocked before it was found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.blocklist import DEFAULT_POLICY, Entry, Signal, decide, taken_back
from postloop.domain.blocklist.policy import DAY_MS
from postloop.domain.incident import HoldBegan, HoldEnded, PastHold, ProviderHolds
from tests.unit.domain.blocklist.histories import NOW_MS, days, hard, order, soft, unsubscribe

MEMORY_MS = DEFAULT_POLICY.longest_lease_ms
NONE = ProviderHolds(provider="gmail")


def began(started_ms: int, name: str = "one") -> HoldBegan:
    return HoldBegan(provider="gmail", incident_id=name, started_ms=started_ms)


def ended(started_ms: int, until_ms: int, verdict: str = "discard", name: str = "one") -> HoldEnded:
    return HoldEnded(
        provider="gmail",
        incident_id=name,
        started_ms=started_ms,
        until_ms=until_ms,
        verdict=verdict,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("at_ms", "during", "discarded", "released"),
    [
        pytest.param(99, "apply", "apply", "apply", id="before"),
        pytest.param(100, "hold", "discard", "apply", id="at the start"),
        pytest.param(199, "hold", "discard", "apply", id="within"),
        pytest.param(200, "hold", "apply", "apply", id="after the end"),
    ],
)
def test_a_bounce_is_held_from_the_start_and_meets_the_verdict(
    at_ms: int, during: str, discarded: str, released: str
) -> None:
    holding = NONE.began(began(100))
    assert NONE.fate(at_ms) == "apply"
    assert holding.fate(at_ms) == during
    assert holding.ended(ended(100, 200), memory_ms=MEMORY_MS).fate(at_ms) == discarded
    assert holding.ended(ended(100, 200, "release"), memory_ms=MEMORY_MS).fate(at_ms) == released


def test_signals_that_are_read_again_open_nothing() -> None:
    over = NONE.began(began(100)).ended(ended(100, 200), memory_ms=MEMORY_MS)

    assert over.began(began(100)) == over
    assert over.ended(ended(100, 200), memory_ms=MEMORY_MS) == over


def test_a_hold_whose_end_was_never_told_lives_on_in_the_next() -> None:
    second = NONE.began(began(100)).began(began(150, "two"))
    assert second.fate(100) == "hold"

    # The end of the first comes after all: the second goes on.
    still = second.ended(ended(100, 160), memory_ms=MEMORY_MS)
    assert (still.fate(170), still.incident_id) == ("hold", "two")
    over = second.ended(ended(150, 200, name="two"), memory_ms=MEMORY_MS)
    assert [over.fate(at) for at in (99, 100, 199, 200)] == ["apply", "discard", "discard", "apply"]


@given(st.lists(st.integers(0, 100 * DAY_MS), min_size=1, max_size=40))
def test_past_holds_are_forgotten_when_their_bounces_can_block_nobody(starts: list[int]) -> None:
    holds = NONE
    for number, start_ms in enumerate(sorted(starts)):
        holds = holds.began(began(start_ms, str(number)))
        holds = holds.ended(ended(start_ms, start_ms + 60_000, name=str(number)), memory_ms=MEMORY_MS)

    newest_ms = max(past.until_ms for past in holds.past)
    assert all(newest_ms - past.until_ms < MEMORY_MS for past in holds.past)
    assert {p.started_ms for p in holds.past} == {s for s in starts if s + 60_000 > newest_ms - MEMORY_MS}
    assert all(isinstance(past, PastHold) for past in holds.past)


# -- what the outage had blocked ---------------------------------------------------------------------------------


def known(*signals: Signal) -> Entry:
    entry: Entry | None = None
    for signal in signals:
        entry, _ = decide(entry, signal, DEFAULT_POLICY, NOW_MS)
    assert entry is not None
    return entry


@pytest.mark.parametrize(
    ("signals", "is_taken_back"),
    [
        pytest.param([hard(days(1))], True, id="a bounce of the outage"),
        pytest.param([hard(days(1)), hard(days(0.5), "b")], True, id="two of them"),
        pytest.param([hard(days(5)), hard(days(1))], False, id="blocked before"),
        pytest.param([hard(days(5))], False, id="not of the outage"),
        pytest.param([hard(days(1)), order("block", days(0.5))], False, id="blocked by hand as well"),
        pytest.param([order("block", days(1))], False, id="blocked by hand"),
        pytest.param([soft(days(3)), soft(days(2)), soft(days(1.2))], False, id="soft bounces"),
        pytest.param([unsubscribe(days(1))], False, id="an unsubscribe"),
        pytest.param([hard(days(1)), order("unblock")], False, id="released already"),
    ],
)
def test_only_what_hard_bounces_of_the_outage_blocked_is_taken_back(
    signals: list[Signal], is_taken_back: bool
) -> None:
    back = taken_back(known(*signals), provider="gmail", since_ms=days(2), incident_id="one")

    assert (back is not None) == is_taken_back


def test_taking_back_releases_as_rolled_back_and_names_the_incident() -> None:
    entry = known(hard(days(1)), hard(days(0.5), "b"))
    back = taken_back(entry, provider="gmail", since_ms=days(2), incident_id="one")
    assert back is not None and "incident one" in back.reason

    after, changes = decide(entry, back, DEFAULT_POLICY, NOW_MS)
    assert after.told is None
    assert [getattr(change, "cause", "") for change in changes] == ["rolled_back", ""]
    again = taken_back(entry, provider="gmail", since_ms=days(2), incident_id="one")
    assert again == back, "told twice it is the same command"
    late, _ = decide(after, hard(days(0.7), "c"), DEFAULT_POLICY, NOW_MS)
    assert late.told is None, "a bounce of the outage that comes late blocks nobody"


def test_another_provider_is_not_touched() -> None:
    entry = replace(known(hard(days(1))), provider="yahoo")
    assert taken_back(entry, provider="gmail", since_ms=days(2), incident_id="one") is None
