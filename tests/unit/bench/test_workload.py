"""The workload is the same for everybody, and its counts are what the contract makes of it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from bench.workload import MIX, Counts, Plan, Tally, generate
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.contracts.decode import decode_record

START_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
plans = st.builds(
    Plan,
    event_count=st.integers(1, 300),
    start_at=st.just(START_AT),
    seed=st.integers(0, 1000),
    domain_count=st.integers(1, 50),
    partition_count=st.integers(1, 8),
    invalid_share=st.sampled_from([0.0, 0.001, 0.3, 1.0]),
)


@given(plans)
@settings(deadline=None, max_examples=30)
def test_equal_plans_give_equal_bytes(plan: Plan) -> None:
    assert list(generate(plan)) == list(generate(plan))


def test_another_seed_gives_other_events() -> None:
    first = generate(Plan(event_count=1, start_at=START_AT, seed=1))
    assert list(first) != list(generate(Plan(event_count=1, start_at=START_AT, seed=2)))


@given(plans)
@settings(deadline=None, max_examples=30)
def test_the_contract_takes_exactly_the_valid_records(plan: Plan) -> None:
    for record in generate(plan):
        decoded = decode_record(record.event_type, record.value, now=START_AT + timedelta(hours=2))
        assert (len(decoded.events), len(decoded.errors)) == ((1, 0) if record.is_valid else (0, 1))


@given(plans)
@settings(deadline=None, max_examples=30)
def test_every_record_is_counted_as_a_row_or_a_dead_letter(plan: Plan) -> None:
    tally = Tally()
    for record in generate(plan):
        tally.add(record)
    counts = tally.counts
    assert counts.rows + counts.dead_letters == plan.event_count == tally.record_count
    assert counts.rollup_events == counts.rows


def test_event_ids_never_repeat_so_that_deduplication_drops_nothing() -> None:
    values = [r.value for r in generate(Plan(event_count=2000, start_at=START_AT, invalid_share=0.0))]
    ids = {value.split(b'"', 4)[3] for value in values}
    assert len(ids) == 2000


def test_the_mix_malformed_share_and_size_are_as_described() -> None:
    tally, kinds = Tally(), Counter[str]()
    for record in generate(Plan(event_count=20_000, start_at=START_AT)):
        tally.add(record)
        kinds[record.event_type] += 1
    assert all(abs(kinds[kind] / 200 - share) < 1.5 for kind, share in MIX.items())
    assert 5 <= tally.counts.dead_letters <= 40
    assert 380 <= tally.byte_count / tally.record_count <= 460


def test_a_few_sender_domains_have_most_of_the_mail() -> None:
    plan = Plan(event_count=5000, start_at=START_AT, domain_count=500, invalid_share=0.0)
    domains = Counter(r.value.split(b'"sender_domain":"')[1].split(b'"')[0] for r in generate(plan))
    assert sum(count for _, count in domains.most_common(10)) > 2000


def test_one_recipient_stays_in_one_partition() -> None:
    places: dict[bytes, int] = {}
    for record in generate(Plan(event_count=3000, start_at=START_AT, partition_count=8)):
        assert places.setdefault(record.key, record.partition) == record.partition


def test_a_repeated_open_is_one_unique_open() -> None:
    records = generate(Plan(event_count=3000, start_at=START_AT, domain_count=5))
    opened = next(r for r in records if r.event_type == "open" and r.is_valid)
    tally = Tally()
    tally.add(opened)
    tally.add(opened)
    assert tally.counts == Counts(rows=2, dead_letters=0, rollup_events=2, unique_opens=1)


def test_a_difference_names_the_count_and_both_numbers() -> None:
    wanted = Counts(rows=10, dead_letters=1, rollup_events=10, unique_opens=2)
    assert wanted.differences(wanted) == []
    found = Counts(rows=10, dead_letters=1, rollup_events=9, unique_opens=2)
    assert wanted.differences(found) == ["rollup_events is 9, not 10"]
