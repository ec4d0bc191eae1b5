import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.contracts.decode import decode_record
from postloop.contracts.rows import recipient_facts
from postloop.domain.engagement import AT_ONCE_S, open_kind
from postloop.simulation.invalid import ELEMENT_KINDS, RECORD_KINDS
from postloop.simulation.lifecycle import Postman
from postloop.simulation.world import World
from tests.unit.simulation.recount import HOUR_MS, START_MS, is_regular, ms, plan, recount, run

NOW = datetime.fromtimestamp((START_MS + HOUR_MS) / 1000, UTC)


def test_the_same_plan_gives_the_same_bytes() -> None:
    assert run()[1] == run()[1]


def test_another_seed_gives_other_events_and_shares_no_name_with_the_first() -> None:
    (first, first_records), (second, second_records) = run(), run(seed=2)
    assert first_records != second_records
    assert first.plan.event_id_prefix != second.plan.event_id_prefix
    assert not set(first.world.accounts) & set(second.world.accounts)


@settings(max_examples=15)
@given(
    events=st.integers(1, 800),
    seed=st.integers(0, 2**64),
    span_ms=st.integers(1000, 30 * HOUR_MS),
    late=st.sampled_from([0.0, 0.2, 1.0]),
    array_share=st.sampled_from([0.0, 0.3, 1.0]),
    key=st.sampled_from(["recipient", "none"]),
)
def test_a_simulation_has_exactly_as_many_distinct_events_as_asked_for_and_no_other_repeats(
    events: int, seed: int, span_ms: int, late: float, array_share: float, key: str
) -> None:
    simulation, records = run(
        events=events, seed=seed, span_ms=span_ms, late=late, array_share=array_share, key=key, duplicates=0.2
    )
    counted = recount(records, simulation.plan.event_id_prefix)
    assert len(counted.events) == events == simulation.tally.events
    assert counted.repeats == simulation.tally.disturbances["duplicates"]


@given(late=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_events_lie_in_the_span_and_late_ones_at_most_72_hours_before(late: float, seed: int) -> None:
    simulation, records = run(events=500, seed=seed, late=late)
    times = [
        ms(event["occurred_at"])
        for event in recount(records, simulation.plan.event_id_prefix).events.values()
    ]
    assert max(times) < START_MS + HOUR_MS
    assert min(times) >= START_MS - (72 * HOUR_MS if late else 0)
    assert bool(simulation.tally.disturbances["late"]) == bool(late) == (min(times) < START_MS)


def test_without_disturbances_events_are_written_in_the_order_in_which_they_happened() -> None:
    simulation, records = run(late=0, out_of_order=0, duplicates=0, invalid=0, array_share=0)
    times = [ms(json.loads(record.value or b"")["occurred_at"]) for record in records]
    assert times == sorted(times)
    assert len(records) == simulation.plan.events


def test_out_of_order_events_are_written_at_most_five_minutes_after_their_turn() -> None:
    _, records = run(late=0, out_of_order=0.3, duplicates=0, invalid=0, array_share=0)
    times = [ms(json.loads(record.value or b"")["occurred_at"]) for record in records]
    latest, behind = 0, []
    for at_ms in times:
        latest = max(latest, at_ms)
        behind.append(latest - at_ms)
    # The reference may itself be written late, but never ahead of its time.
    assert 60_000 < max(behind) <= 300_001
    assert 0.2 < sum(delay > 0 for delay in behind) / len(behind) < 0.9


def test_repeats_have_the_key_of_the_original_when_the_key_is_the_recipient() -> None:
    simulation, records = run(duplicates=0.2, array_share=0.4)
    assert all(record.slot is None for record in records)
    keys = _keys_by_event(records, simulation.plan.event_id_prefix)
    assert sum(len(seen) > 1 for seen in keys.values()) > 100
    assert all(len(set(seen)) == 1 for seen in keys.values())


@pytest.mark.parametrize("array_share", [0.0, 0.4])
def test_repeats_go_to_the_next_partition_when_there_is_no_key(array_share: float) -> None:
    simulation, records = run(duplicates=0.2, key="none", array_share=array_share)
    slots: dict[object, list[int]] = defaultdict(list)
    for record in records:
        for event_id in _event_ids(record.value, simulation.plan.event_id_prefix):
            assert record.slot is not None
            slots[record.event_type, event_id].append(record.slot)
    repeated = [seen for seen in slots.values() if len(seen) > 1]
    assert len(repeated) > 100
    assert all(abs(seen[0] - seen[1]) == 1 for seen in repeated)


def test_every_kind_of_invalid_record_comes_up_and_each_is_one_dead_letter() -> None:
    simulation, records = run(invalid=0.1, duplicates=0)
    assert set(simulation.tally.invalid) == {*RECORD_KINDS, *ELEMENT_KINDS}
    assert simulation.tally.invalid.total() == 300
    found = Counter[str]()
    events = 0
    for record in records:
        decoded = decode_record(record.event_type, record.value, now=NOW)
        events += len(decoded.events)
        found[record.event_type] += len(decoded.errors)
        if decoded.errors:
            assert (record.key or b"").startswith(simulation.plan.key_prefix.encode())
    # Without a limit of age the recorder would take what is only too old.
    assert found.total() == 300 - simulation.tally.invalid["too_old"]
    assert events == 3000 + simulation.tally.invalid["too_old"]


def test_an_invalid_event_bears_no_id_of_a_valid_one() -> None:
    simulation, records = run(invalid=0.2, duplicates=0)
    prefix = simulation.plan.event_id_prefix
    ids = [event_id for record in records for event_id in _event_ids(record.value, prefix)]
    assert len(ids) == len(set(ids)) == 3000


def test_good_and_bad_events_share_arrays() -> None:
    _, records = run(invalid=0.1, array_share=0.3)
    mixed = 0
    for record in records:
        decoded = decode_record(record.event_type, record.value, now=NOW)
        mixed += bool(decoded.events and decoded.errors)
    assert mixed > 10


def test_a_plan_without_arrays_writes_none() -> None:
    _, records = run(array_share=0.0, invalid=0.1)
    assert not any((record.value or b"").startswith(b"[") for record in records)


def test_addresses_in_other_scripts_in_capitals_and_malformed_ones_occur() -> None:
    simulation, records = run(events=20_000)
    events = recount(records, simulation.plan.event_id_prefix).events
    addresses = {event["recipient"] for event in events.values()}
    assert any(not address.isascii() for address in addresses)
    assert any(address != address.lower() for address in addresses)
    assert any(".." in address or "@" not in address for address in addresses)


def test_the_busiest_domain_sends_far_more_than_the_median() -> None:
    simulation, records = run(events=10_000)
    events = recount(records, simulation.plan.event_id_prefix).events
    sizes = sorted(Counter(event["sender_domain"] for event in events.values()).values())
    assert sizes[-1] > 8 * sizes[len(sizes) // 2]


def _event_ids(value: bytes | None, prefix: str) -> list[str]:
    try:
        parsed = json.loads(value or b"")
    except ValueError:
        return []
    events = parsed if isinstance(parsed, list) else [parsed]
    ids = [event.get("event_id") for event in events if isinstance(event, dict)]
    return [event_id for event_id in ids if is_regular(event_id, prefix)]


def _keys_by_event(records: list[object], prefix: str) -> dict[object, list[bytes | None]]:
    keys: dict[object, list[bytes | None]] = defaultdict(list)
    for record in records:
        for event_id in _event_ids(record.value, prefix):  # type: ignore[attr-defined]
            keys[record.event_type, event_id].append(record.key)  # type: ignore[attr-defined]
    return keys


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"machine_opens": 1.0}, id="many-machines"),
        pytest.param({"late": 0.4, "out_of_order": 0.4, "duplicates": 0.3}, id="disturbed"),
        pytest.param({"key": "none", "array_share": 0.5}, id="without-keys"),
    ],
)
def test_opens_by_proxy_are_at_once_after_the_delivery_when_they_are_after_the_sending_and_only_then(
    options: dict[str, Any],
) -> None:
    # A recorder remembers deliveries for a while and in one process. So it must not matter whether it knew one.
    simulation, records = run(events=12_000, **options)
    events = recount(records, simulation.plan.event_id_prefix).events
    delivered_ms = defaultdict[tuple[str, ...], list[int]](list)
    for (kind, _), event in events.items():
        if kind == "delivery":
            delivered_ms[_copy(event)].append(ms(event["occurred_at"]))
    judged = Counter[bool]()
    for (kind, _), event in events.items():
        agent = event.get("user_agent", "")
        if kind == "open" and open_kind(agent)[1] == "image_proxy":
            at_ms, sent_at = ms(event["occurred_at"]), event.get("sent_at")
            is_early = sent_at is not None and 0 <= at_ms - ms(sent_at) < AT_ONCE_S * 1000
            since_ms = [at_ms - told for told in delivered_ms[_copy(event)]]
            assert any(0 <= since < AT_ONCE_S * 1000 for since in since_ms) == is_early
            judged[is_early] += 1
    assert min(judged[True], judged[False]) > 20


def test_a_message_goes_to_an_address_once() -> None:
    rng = random.Random(3)
    small = plan(events=1)
    postman = Postman(World(small, rng), rng, machine_opens=0.1)
    messages = [postman.messages(START_MS) for _ in range(60_000)]
    assert sum(len(copies) == 2 for copies in messages) > 1_000
    assert all(len({copy.recipient.lower() for copy in copies}) == len(copies) for copies in messages)


def _copy(event: dict[str, Any]) -> tuple[str, ...]:
    return event["account_id"], event["message_id"], recipient_facts(event["recipient"]).recipient
