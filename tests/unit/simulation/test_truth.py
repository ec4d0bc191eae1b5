from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postloop.contracts.decode import decode_record
from postloop.contracts.rows import columns_of
from postloop.simulation.truth import Counts, Truth, TruthError, read_truth, write_truth
from postloop.simulation.truth_build import build_truth, nearest_rank
from tests.unit.simulation.recount import HOUR_MS, START_MS, recount, run


def made(**options: Any) -> tuple[Truth, Any]:
    simulation, records = run(**options)
    return build_truth(simulation), recount(records, simulation.plan.event_id_prefix)


def as_counter(table: Counts) -> Counter[Any]:
    names = list(table.columns)
    cells = ((row, name, n) for row in table.rows() for name, n in zip(names, row[2], strict=True))
    return Counter({(row[0], row[1], name): n for row, name, n in cells if n})


@pytest.fixture(scope="module")
def both() -> tuple[Truth, Any]:
    return made(events=12_000, seed=5, duplicates=0.05, late=0.1, invalid=0.03, array_share=0.3)


def test_counts_per_minute_are_those_of_a_second_count(both: tuple[Truth, Any]) -> None:
    truth, counted = both
    assert as_counter(truth.domain) == counted.by_minute


def test_counts_per_campaign_are_those_of_a_second_count(both: tuple[Truth, Any]) -> None:
    truth, counted = both
    assert as_counter(truth.campaign) == counted.by_campaign


def test_bounces_by_reason_are_those_that_the_classifier_sees(both: tuple[Truth, Any]) -> None:
    truth, counted = both
    assert as_counter(truth.bounces) == counted.bounces
    assert len({group[3] for group in truth.bounces.groups}) > 10


def test_unique_opens_are_those_of_a_second_count(both: tuple[Truth, Any]) -> None:
    truth, counted = both
    seen = {group: tuple(map(int, numbers)) for _, group, numbers in truth.unique_opens.rows()}
    assert seen == {g: (len(every), len(counted.human_openers[g])) for g, every in counted.openers.items()}


def test_delivery_times_are_those_of_a_second_count(both: tuple[Truth, Any]) -> None:
    truth, counted = both
    rows = {group: numbers for _, group, numbers in truth.latency.rows()}
    assert rows.keys() == counted.latencies_ms.keys()
    for group, values in counted.latencies_ms.items():
        count, delayed, *percentiles = rows[group]
        assert (count, delayed) == (len(values), sum(value > 300_000 for value in values))
        for p, value_s in zip((50, 95, 99), percentiles, strict=True):
            assert sum(value <= round(value_s * 1000) for value in values) >= len(values) * p / 100
            assert sum(value < round(value_s * 1000) for value in values) < len(values) * p / 100


def test_totals_are_those_of_a_second_count(both: tuple[Truth, Any]) -> None:
    truth, counted = both
    assert truth.events == len(counted.events)
    assert truth.totals["by_type"] == Counter(kind for kind, _ in counted.events)
    assert truth.totals["disturbances"]["duplicates"] == counted.repeats


def test_the_product_sees_every_event_as_the_simulator_meant_it() -> None:
    simulation, records = run(events=4000, seed=9, duplicates=0, array_share=0.3)
    outcomes: Counter[Any] = Counter()
    now = datetime.fromtimestamp((START_MS + HOUR_MS) / 1000, UTC)
    for record in records:
        events = decode_record(record.event_type, record.value, now=now).events
        if not events:
            continue
        columns = columns_of(record.event_type, events)
        humans = columns.get("open_kind", [""] * len(events))
        for *place, event_id, outcome, human in zip(
            columns["mailbox_provider"], columns["event_id"], columns["outcome"], humans, strict=True
        ):
            if not event_id.startswith(simulation.plan.event_id_prefix + "bad"):
                outcomes[place[0], outcome] += 1
                outcomes[place[0], human] += 1
    truth = build_truth(simulation)
    expected: Counter[Any] = Counter()
    for (_, group, name), n in as_counter(truth.domain).items():
        expected[group[2], name.removesuffix("_count")] += n
    for name in ("delivered", "hard_bounce", "soft_bounce", "deferral", "complaint", "unsubscribe", "open"):
        for provider in {key[0] for key in expected}:
            assert outcomes[provider, name] == expected[provider, name], (provider, name)
    humans_meant = sum(opening.is_human for opening in simulation.tally.openings)
    assert sum(n for (_, kind), n in outcomes.items() if kind == "human") == humans_meant


@pytest.mark.parametrize("name", ["truth.json", "truth.json.gz"])
def test_a_truth_file_gives_back_what_was_written(tmp_path: Path, name: str) -> None:
    truth, _ = made(events=500)
    write_truth(truth, tmp_path / name)
    assert read_truth(tmp_path / name) == truth


def test_the_same_plan_gives_the_same_truth_file(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        write_truth(made(events=500)[0], tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"{", "no truth file", id="cut"),
        pytest.param(b"\x1f\x8b\x08", "no truth file", id="cut gzip"),
        pytest.param(b'{"format":"other"}', "no truth file", id="another file"),
        pytest.param(b'{"format":"postloop-truth","version":9}', "version 9", id="newer"),
        pytest.param(b'{"format":"postloop-truth","version":2}', "missing", id="incomplete"),
    ],
)
def test_a_file_that_is_no_truth_is_refused_with_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(TruthError, match=said) as error:
        read_truth(tmp_path / "x.json")
    assert "x.json" in str(error.value)


@given(st.lists(st.integers(0, 10**9), min_size=1).map(sorted), st.integers(1, 99))
@settings(max_examples=200)
def test_a_percentile_is_a_value_that_occurs_and_grows_with_the_percentage(values: list[int], p: int) -> None:
    ranks = [nearest_rank(values, percent) for percent in (p, p + 1, 100)]
    assert ranks[0] in values
    assert ranks[-1] == values[-1]
    assert all(a <= b for a, b in pairwise(ranks))
