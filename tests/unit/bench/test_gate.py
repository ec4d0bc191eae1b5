"""The gate complains about what got worse, whatever the machine's speed."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.gate import Note, Ratios, add_note, complaints, ratios_of, read_notes
from bench.running import Figures, Result

NOTED = Ratios(cpu_consumer=0.5, cpu_sum=0.8, events_per_s=1.5)


def result(variant: str, round_number: int, *, rate: float, consumer: float, clickhouse: float) -> Result:
    figures = Figures(
        events_per_s=rate,
        seconds=1,
        cpu_consumer=consumer,
        cpu_clickhouse=clickhouse,
        rss_consumer_mb=1,
        rss_clickhouse_mb=1,
    )
    return Result(variant=variant, round_number=round_number, figures=figures)


def test_ratios_are_those_of_each_round_and_their_median() -> None:
    results = [
        result("postloop", 0, rate=30, consumer=5, clickhouse=5),
        result("aiokafka", 0, rate=10, consumer=10, clickhouse=10),
        # A slow phase of the machine hits both sides.
        result("postloop", 1, rate=3, consumer=50, clickhouse=50),
        result("aiokafka", 1, rate=1, consumer=100, clickhouse=100),
    ]
    assert ratios_of(results) == Ratios(cpu_consumer=0.5, cpu_sum=0.5, events_per_s=3)


def test_without_a_common_round_there_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="no round"):
        ratios_of([result("postloop", 0, rate=1, consumer=1, clickhouse=1)])


@pytest.mark.parametrize(
    ("found", "names"),
    [
        pytest.param(NOTED, [], id="the same"),
        pytest.param(Ratios(cpu_consumer=0.1, cpu_sum=0.1, events_per_s=9), [], id="better"),
        pytest.param(Ratios(cpu_consumer=0.67, cpu_sum=1.07, events_per_s=1.12), [], id="within the margin"),
        pytest.param(Ratios(cpu_consumer=0.7, cpu_sum=0.8, events_per_s=1.5), ["cpu_consumer"], id="our cost"),
        pytest.param(Ratios(cpu_consumer=0.5, cpu_sum=1.1, events_per_s=1.5), ["cpu_sum"], id="cost of both"),
        pytest.param(Ratios(cpu_consumer=0.5, cpu_sum=0.8, events_per_s=1.0), ["events_per_s"], id="rate"),
    ],
)  # fmt: skip
def test_only_what_got_worse_beyond_the_margin_is_complained_about(found: Ratios, names: list[str]) -> None:
    assert [sentence.split()[0] for sentence in complaints(found, NOTED, margin=0.35)] == names


def test_notes_are_kept_in_order(tmp_path: Path) -> None:
    path = tmp_path / "gate.json"
    assert read_notes(path) == []
    notes = [Note(at=f"2026-01-0{n}", change=f"c{n}", ratios=NOTED) for n in (1, 2)]
    for note in notes:
        add_note(note, path)
    assert read_notes(path) == notes
