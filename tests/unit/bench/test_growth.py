"""Which cases there are, what they share, and what they are compared with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from bench import growth
from bench.cli.main import app
from bench.growth import AXES, STORED_ROWS, Case, Run, cases_of, names_of, setups_of
from bench.history import History
from bench.registry import UnknownNameError, chosen_names
from bench.running import Figures, Result
from bench.stats import Spread
from bench.workload import Plan
from rich.console import Console
from typer.testing import CliRunner

from postloop.settings import Settings

START_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
PLAN = Plan(event_count=1000, start_at=START_AT)
CASES = cases_of(list(AXES), PLAN)


def run(case: Case, round_number: int, rate: float | None) -> Run:
    figures = rate and Figures(
        events_per_s=rate,
        seconds=1.0,
        cpu_consumer=1.0,
        cpu_clickhouse=1.0,
        rss_consumer_mb=1.0,
        rss_clickhouse_mb=1.0,
    )
    failure = "" if rate else "wrong counts"
    result = Result(variant="postloop", round_number=round_number, figures=figures or None, failure=failure)
    return Run(case.setup, result)


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_rises(axis: str) -> None:
    values = [case.value for case in cases_of([axis], PLAN)]
    assert values == sorted(set(values))
    assert len(values) > 1


@pytest.mark.parametrize("axis", AXES)
def test_along_an_axis_one_thing_changes(axis: str) -> None:
    setups = [case.setup for case in cases_of([axis], PLAN)]
    changed = [
        name for name in ("plan", "stored_rows", "settings") if len({getattr(s, name) for s in setups}) > 1
    ]
    assert len(changed) == 1
    assert len(set(setups)) == len(setups)


def test_cases_that_start_on_the_same_share_their_runs() -> None:
    names = [names_of(setup, CASES) for setup in setups_of(CASES)]
    assert "domains 500, partitions 4" in names
    assert "stored 20,000,000, dedup 4,000,000" in names
    assert len(names) == len(CASES) - 2


def test_the_largest_memory_of_ids_is_filled_from_what_is_stored() -> None:
    settings = Settings.model_fields
    history = History(row_count=STORED_ROWS, end_at=START_AT)
    largest = max(case.value for case in cases_of(["dedup"], PLAN))
    assert history.rows_within(settings["dedup_window"].default) >= largest // 2
    assert settings["dedup_max_ids"].default < largest


def test_a_case_is_compared_with_the_first_of_its_axis_within_a_round() -> None:
    first, second = cases_of(["domains"], PLAN)
    runs = [run(first, 0, 10.0), run(second, 0, 5.0), run(second, 1, 60.0), run(first, 1, 60.0)]
    lines = growth.summary(runs, [first, second])
    assert lines[0]["first_ratio"] is None
    assert lines[1]["first_ratio"] == Spread(0.75, 0.5, 1.0)
    assert (lines[1]["value"], lines[1]["workload"]["domain_count"]) == (100_000, 100_000)


def test_a_failed_run_has_no_figure_and_is_told() -> None:
    first, second = cases_of(["domains"], PLAN)
    runs = [run(first, 0, 10.0), run(second, 0, None)]
    assert growth.summary(runs, [first, second])[1]["failures"] == ["wrong counts"]
    console = Console(width=160)
    with console.capture() as capture:
        console.print(growth.table(runs, [first, second]))
    line = next(line for line in capture.get().splitlines() if "domains 100,000" in line)
    assert "failed" in line


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean partitions"):
        chosen_names("domains,partition", AXES)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["growth", "--axes", "domain"], id="unknown axis"),
        pytest.param(["growth", "--json", "/nowhere/at/all.json"], id="a file without a directory"),
    ],
)
def test_what_cannot_end_well_is_not_begun(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
