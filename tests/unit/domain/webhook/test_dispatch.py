"""Circuits, rates and slots: one slow endpoint harms no other."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from postloop.domain.webhook.circuit import (
    CLOSED,
    DEFAULT_CIRCUIT,
    FIRST_LIMIT,
    Bucket,
    Circuit,
    allowance,
    attempted,
    circuit_state,
    full_bucket,
    next_limit,
    next_token_ms,
    refilled,
    spent,
)
from postloop.domain.webhook.dispatch import Queue, Slots, lane_of, pick

NOW = 1_795_435_140_000


def after(circuit: Circuit, outcomes: str, *, now_ms: int = NOW, step_ms: int = 0) -> Circuit:
    """Return the circuit after attempts: `x` fails, `.` succeeds."""
    for number, outcome in enumerate(outcomes):
        circuit = attempted(circuit, is_failure=outcome == "x", now_ms=now_ms + number * step_ms)
    return circuit


def test_a_circuit_opens_at_ten_attempts_of_which_seven_tenths_fail() -> None:
    assert circuit_state(after(CLOSED, "x" * 9), now_ms=NOW) == "closed"
    assert circuit_state(after(CLOSED, "x" * 10), now_ms=NOW) == "open"
    assert circuit_state(after(CLOSED, "...." + "x" * 6), now_ms=NOW) == "closed"
    assert circuit_state(after(CLOSED, "..." + "x" * 7), now_ms=NOW) == "open"


def test_attempts_from_before_the_window_do_not_count() -> None:
    assert circuit_state(after(CLOSED, "x" * 40, step_ms=40_000), now_ms=NOW + 1_600_000) == "closed"
    assert circuit_state(after(CLOSED, "x" * 40, step_ms=20_000), now_ms=NOW + 800_000) != "closed"


def test_each_probe_that_fails_doubles_the_pause_up_to_ten_minutes_and_a_success_closes() -> None:
    circuit, at_ms, pauses = after(CLOSED, "x" * 10), NOW, []
    for _ in range(7):
        pauses.append((circuit.open_until_ms - at_ms) // 1000)
        assert circuit_state(circuit, now_ms=circuit.open_until_ms - 1) == "open"
        at_ms = circuit.open_until_ms
        assert circuit_state(circuit, now_ms=at_ms) == "half_open"
        circuit = after(circuit, "x", now_ms=at_ms)
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    assert after(circuit, ".", now_ms=circuit.open_until_ms) == CLOSED


def test_attempts_that_had_begun_before_the_pause_do_not_lengthen_it() -> None:
    opened = after(CLOSED, "x" * 10)
    assert after(opened, "xxx", now_ms=NOW + 1000) == opened


@given(st.text("x.", max_size=200), st.integers(0, 100_000))
def test_a_circuit_stays_small_and_never_pauses_longer_than_its_limit(outcomes: str, step_ms: int) -> None:
    circuit = CLOSED
    for number, outcome in enumerate(outcomes):
        now_ms = NOW + number * step_ms
        circuit = attempted(circuit, is_failure=outcome == "x", now_ms=now_ms)
        assert len(circuit.samples) <= DEFAULT_CIRCUIT.window_ms // DEFAULT_CIRCUIT.sample_ms + 1
        assert circuit.open_until_ms <= now_ms + DEFAULT_CIRCUIT.longest_pause_ms


@given(
    rate=st.floats(0.1, 500),
    steps=st.lists(st.tuples(st.integers(-1000, 5000), st.integers(0, 50)), max_size=30),
)
def test_no_more_attempts_begin_than_the_rate_and_one_burst_allow(
    rate: float, steps: list[tuple[int, int]]
) -> None:
    bucket, at_ms, latest_ms, begun = full_bucket(rate_per_s=rate, now_ms=NOW), NOW, NOW, 0
    for passed_ms, wanted in steps:
        at_ms += passed_ms
        latest_ms = max(latest_ms, at_ms)
        bucket = refilled(bucket, rate_per_s=rate, now_ms=at_ms)
        count = min(wanted, allowance(bucket))
        bucket, begun = spent(bucket, count), begun + count
        assert begun <= max(1.0, rate) + rate * (latest_ms - NOW) / 1000 + 1e-6


@given(rate=st.floats(0.01, 1000), tokens=st.floats(0, 0.999))
def test_when_the_next_token_is_there_an_attempt_may_begin(rate: float, tokens: float) -> None:
    bucket = Bucket(tokens=tokens, at_ms=NOW)
    assert allowance(bucket) == 0
    next_ms = next_token_ms(bucket, rate_per_s=rate)
    assert allowance(refilled(bucket, rate_per_s=rate, now_ms=next_ms)) >= 1


def queue(name: str, *, first: int = 0, late: int = 0, running: int = 0, late_running: int = 0, limit: int = 20,
          rate: int = 1000) -> Queue:  # fmt: skip
    return Queue(
        endpoint_id=name,
        first_due=first,
        late_due=late,
        first_running=running,
        late_running=late_running,
        limit=limit,
        allowance=rate,
    )


small = st.integers(0, 12)
queues = st.lists(
    st.builds(queue, st.just(""), first=small, late=small, running=st.integers(0, 4), late_running=st.integers(0, 2),
              limit=small, rate=small),
    max_size=8,
).map(lambda found: [Queue(**{**{f: getattr(q, f) for f in Queue.__dataclass_fields__}, "endpoint_id": str(n)})
                     for n, q in enumerate(found)])  # fmt: skip
slots = st.tuples(st.integers(1, 40), st.integers(0, 10)).map(
    lambda s: Slots(total_count=s[0], reserved_count=min(s[1], s[0]))
)


def granted(found: list[Queue], room: Slots) -> tuple[Counter[str], Counter[str]]:
    first, late = Counter[str](), Counter[str]()
    for grant in pick(found, room):
        (first if grant.lane == "first" else late)[grant.endpoint_id] += grant.count
    return first, late


@given(queues, slots)
def test_grants_stay_within_every_limit(found: list[Queue], room: Slots) -> None:
    first, late = granted(found, room)
    running = sum(q.running for q in found)
    total = first.total() + late.total()
    assert total == 0 or running + total <= room.total_count
    late_running = sum(q.late_running for q in found)
    assert late.total() == 0 or late_running + late.total() <= room.total_count - room.reserved_count
    for q in found:
        mine = first[q.endpoint_id] + late[q.endpoint_id]
        assert first[q.endpoint_id] <= q.first_due
        assert late[q.endpoint_id] <= q.late_due
        assert mine == 0 or q.running + mine <= q.limit
        assert mine <= q.allowance


@given(queues, slots)
def test_nobody_gets_a_slot_while_one_with_fewer_attempts_running_wants_it(
    found: list[Queue], room: Slots
) -> None:
    first, late = granted(found, room)
    for poor in found:
        has = poor.running + first[poor.endpoint_id] + late[poor.endpoint_id]
        got = first[poor.endpoint_id] + late[poor.endpoint_id]
        wants = poor.first_due > first[poor.endpoint_id] and poor.limit > has and poor.allowance > got
        for rich in found:
            if wants and first[rich.endpoint_id] + late[rich.endpoint_id]:
                assert rich.running + first[rich.endpoint_id] + late[rich.endpoint_id] <= has + 1


@given(st.integers(1, 60), st.integers(1, 200))
def test_endpoints_that_hang_leave_four_times_what_each_of_them_holds(hanging: int, total: int) -> None:
    room = Slots(total_count=total, reserved_count=0)
    hogs = [queue(str(n), first=1000, limit=100) for n in range(hanging)]
    taken, _ = granted(hogs, room)
    assert total - taken.total() >= 4 * (max(taken.values()) - 1) - 1
    full = [queue(q.endpoint_id, first=1000, limit=100, running=taken[q.endpoint_id]) for q in hogs]
    healthy, _ = granted([*full, queue("healthy", first=1)], room)
    assert healthy == ({"healthy": 1} if taken.total() < total else {})


def test_a_hundred_endpoints_that_hang_from_the_first_attempt_on_leave_room_for_the_others() -> None:
    hogs = [queue(str(n), first=1000, running=FIRST_LIMIT, limit=FIRST_LIMIT) for n in range(100)]
    healthy, _ = granted([*hogs, queue("healthy", first=50, limit=20)], Slots(total_count=500))
    assert healthy == {"healthy": 20}


@given(outcomes=st.lists(st.booleans(), max_size=60), most=st.integers(1, 100))
def test_an_endpoint_earns_its_slots_by_successes(outcomes: list[bool], most: int) -> None:
    limit = min(FIRST_LIMIT, most)
    for is_failure in outcomes:
        after = next_limit(limit, is_failure=is_failure, most=most)
        assert 1 <= after <= most
        assert (after <= limit) if is_failure else (after == min(limit + 1, most))
        limit = after


def test_late_attempts_never_take_the_reserve() -> None:
    room = Slots(total_count=100, reserved_count=30)
    retries = [queue(str(n), late=100, limit=100) for n in range(50)]
    _, late = granted(retries, room)
    assert late.total() == 70
    running = [queue(q.endpoint_id, late=100, late_running=late[q.endpoint_id], limit=100) for q in retries]
    first, _ = granted([*running, queue("fresh", first=5)], room)
    assert first["fresh"] == 5


def test_late_attempts_get_a_fifth_of_a_busy_endpoint() -> None:
    first, late = granted([queue("busy", first=100, late=100, limit=20)], Slots())
    assert (first["busy"], late["busy"]) == (16, 4)


def test_the_third_attempt_is_a_late_one() -> None:
    assert [lane_of(attempt) for attempt in (1, 2, 3, 10)] == ["first", "first", "late", "late"]
