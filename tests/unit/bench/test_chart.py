"""What a chart shows of a result, and what is said where there is nothing to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench.bars import NoChartError, chart_of, read_chart
from bench.cli.main import app
from typer.testing import CliRunner

RUNS = 3


def result(**rates: tuple[float, float, float] | None) -> dict[str, Any]:
    names = ("median", "low", "high")
    summary = {
        name: {
            "events_per_s": dict(zip(names, rate, strict=True)) if rate else None,
            "runs": RUNS if rate else 0,
        }
        for name, rate in rates.items()
    }
    machine = {"cores": 4, "cpu": "Example CPU"}
    return {"machine": machine, "workload": {"event_count": 400_000}, "summary": summary}


def test_bars_are_in_order_with_ours_marked() -> None:
    chart = chart_of(
        result(quix=(5.0, 4.0, 6.0), postloop=(50_000.4, 1.0, 60_000.0), ceiling=(9.0, 9.0, 9.0))
    )
    assert [(bar.name, bar.is_ours) for bar in chart.bars] == [
        ("postloop", True),
        ("ceiling", False),
        ("quix", False),
    ]
    assert (chart.bars[0].label, chart.bars[0].low, chart.bars[0].high) == ("50,000", 1.0, 60_000.0)
    assert all(bar.title for bar in chart.bars)


def test_the_note_says_what_was_measured_where_and_what_failed() -> None:
    note = chart_of(result(postloop=(5.0, 4.0, 6.0), quix=None)).note
    for part in ("400,000 events", "3 rounds: median, smallest to largest", "4 cores, Example CPU", "quix"):
        assert part in note


def test_without_a_good_run_there_is_no_chart() -> None:
    with pytest.raises(NoChartError, match="no run of the result was good"):
        chart_of(result(quix=None))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(None, "cannot be read: No such file", id="no file"),
        pytest.param("{", "is not JSON", id="no JSON"),
        pytest.param("[1]", "was not written by", id="another document"),
        pytest.param('{"latency": {}}', "was not written by", id="another command's"),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "result.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(NoChartError, match=reason):
        read_chart(path)
    assert CliRunner().invoke(app, ["chart", str(path), str(tmp_path / "out.svg")]).exit_code == 2


def test_only_svg_and_png_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result(postloop=(5.0, 4.0, 6.0))), encoding="utf-8")
    done = CliRunner().invoke(app, ["chart", str(path), str(tmp_path / "out.gif")])
    assert done.exit_code == 2
    assert not (tmp_path / "out.gif").exists()


def test_the_environment_that_draws_is_pinned() -> None:
    text = (Path(__file__).parents[3] / "bench" / "requirements-chart.txt").read_text(encoding="utf-8")
    assert [line.partition("==")[0] for line in text.splitlines() if "==" in line] == ["matplotlib"]
