"""Counting for the guard: what is counted, and when it may be judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters.event_columns.decoder import ColumnDecoder
from postloop.contracts.decode import Limits
from postloop.domain.incident import MINUTE_MS, Counted
from postloop_streams.blocklist.outcomes import bounce_counts, delivery_counts
from postloop_streams.blocklist.pulses import IDLE_S, MAX_PARTS, NEAR_IDLE_S, Pulses
from tests.support.blocklist import FULL, HARD, SPAM, event

KEY = ("gmail", 600 * MINUTE_MS, "acme", "shop.example")
HOUR_MS = 60 * MINUTE_MS


def counts(outcomes: int, hard: int = 0, *, domain: str = "shop.example") -> Any:
    return {(*KEY[:3], domain): (outcomes, hard)}


def totals(told: Sequence[Counted]) -> tuple[int, int]:
    parts = [part for one in told for part in one.parts]
    return sum(part[2] for part in parts), sum(part[3] for part in parts)


# -- what is counted ---------------------------------------------------------------------------------------------


def table(kind: Any, events: Sequence[dict[str, Any]]) -> Any:
    return (
        ColumnDecoder(kind, Limits())
        .decode([json.dumps(one).encode() for one in events], now=datetime.now(UTC))
        .table
    )


def test_final_bounces_are_outcomes_and_the_recipients_hard_ones_are_hard() -> None:
    bounces = [
        event("a@gmail.com", **HARD),
        event("b@gmail.com", **HARD),
        event("c@gmail.com", **SPAM),
        event("d@gmail.com", **FULL),
        event("e@gmail.com", action="delayed", **HARD),
        event("f@yahoo.com", account_id="other", **HARD),
        event("g@firm.example", **HARD),
    ]
    found = bounce_counts(table("bounce", bounces))

    by_provider = {(provider, account): pair for (provider, _, account, _), pair in found.items()}
    assert by_provider == {("gmail", "acme"): (4, 2), ("yahoo", "other"): (1, 1)}


def test_deliveries_are_outcomes_by_minute_account_and_domain() -> None:
    minute = timedelta(minutes=1)
    deliveries = [
        *(event("a@gmail.com", age=minute * 5) for _ in range(3)),
        event("a@gmail.com", age=minute * 7),
        event("a@gmail.com", age=minute * 5, sender_domain="two.example"),
        event("a@firm.example"),
    ]
    found = delivery_counts(table("delivery", deliveries))

    assert sorted(found.values()) in ([(1, 0), (1, 0), (3, 0)], [(1, 0), (1, 0), (1, 0), (2, 0)])
    assert all(at_ms % MINUTE_MS == 0 for _, at_ms, _, _ in found)
    assert {provider for provider, *_ in found} == {"gmail"}


def test_nothing_is_counted_of_nothing() -> None:
    assert bounce_counts(table("bounce", [event("a@gmail.com", action="delayed", **HARD)])) == {}


# -- when it may be judged ---------------------------------------------------------------------------------------


def test_bounces_wait_for_the_deliveries_from_before() -> None:
    pulses = Pulses()
    pulses.assign([0, 1], now_s=0)
    pulses.bounces(counts(5, 5), at_ms=HOUR_MS)
    pulses.deliveries(counts(90))
    pulses.read_to(0, at_ms=2 * HOUR_MS, behind_count=9_000, now_s=0)
    pulses.deliveries(counts(5))
    pulses.read_to(1, at_ms=HOUR_MS // 2, behind_count=9_000, now_s=0)
    assert totals(pulses.take(now_s=1)) == (95, 0)

    pulses.deliveries(counts(3))
    pulses.read_to(1, at_ms=HOUR_MS, behind_count=8_000, now_s=1)
    assert totals(pulses.take(now_s=2)) == (8, 5)
    assert pulses.take(now_s=3) == []


def test_an_hour_of_mail_that_arrives_within_seconds_is_not_judged_by_its_bounces_alone() -> None:
    pulses = Pulses()
    pulses.assign([0], now_s=0)
    for second in range(4):
        pulses.bounces(counts(10, 10), at_ms=HOUR_MS + second * 1_000)
    pulses.read_to(0, at_ms=HOUR_MS - 1, behind_count=9_000, now_s=0)
    assert pulses.take(now_s=0) == []
    pulses.deliveries(counts(900))
    pulses.read_to(0, at_ms=HOUR_MS + 1_200, behind_count=8_000, now_s=1)
    assert totals(pulses.take(now_s=1)) == (920, 20)


def test_an_end_that_the_broker_tells_of_too_early_is_not_believed_while_records_come() -> None:
    pulses = Pulses()
    pulses.assign([0], now_s=0)
    pulses.bounces(counts(10, 10), at_ms=2 * HOUR_MS)
    pulses.read_to(0, at_ms=HOUR_MS, behind_count=0, now_s=0)
    assert pulses.take(now_s=NEAR_IDLE_S / 2) == []
    pulses.read_to(0, at_ms=2 * HOUR_MS, behind_count=0, now_s=NEAR_IDLE_S / 2)
    assert totals(pulses.take(now_s=NEAR_IDLE_S / 2)) == (10, 10)


@pytest.mark.parametrize(
    ("behind_count", "now_s"),
    [pytest.param(0, 1.0, id="read to the end"), pytest.param(9_000, IDLE_S + 1, id="nothing came for long")],
)
def test_a_partition_that_has_no_more_holds_nothing_up(behind_count: int, now_s: float) -> None:
    pulses = Pulses()
    pulses.assign([0], now_s=0)
    pulses.deliveries(counts(1))
    pulses.read_to(0, at_ms=0, behind_count=behind_count, now_s=0)
    pulses.bounces(counts(5, 5), at_ms=HOUR_MS)

    assert totals(pulses.take(now_s=now_s)) == (6, 5)


def test_who_reads_no_deliveries_counts_bounces_at_once() -> None:
    pulses = Pulses()
    pulses.assign([], now_s=0)
    pulses.bounces(counts(5, 5), at_ms=HOUR_MS)
    assert totals(pulses.take(now_s=0)) == (5, 5)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.integers(0, 300)), max_size=60))
def test_everything_is_told_once(seen: list[tuple[bool, int, int]]) -> None:
    pulses = Pulses()
    pulses.assign([0], now_s=0)
    told: list[Counted] = []
    for is_bounce, outcomes, domain in seen:
        one = counts(outcomes, outcomes if is_bounce else 0, domain=f"d{domain}.example")
        if is_bounce:
            pulses.bounces(one, at_ms=domain * 1_000)
        else:
            pulses.deliveries(one)
            pulses.read_to(0, at_ms=domain * 1_000, behind_count=9_000, now_s=0)
            told += pulses.take(now_s=0)
    told += pulses.take(now_s=IDLE_S)

    bounced = sum(outcomes for is_bounce, outcomes, _ in seen if is_bounce)
    assert totals(told) == (sum(outcomes for _, outcomes, _ in seen), bounced)
    assert all(len(one.parts) <= MAX_PARTS for one in told)
    assert all(pulse.hard_count <= pulse.outcome_count for one in told for pulse in one.pulses())
