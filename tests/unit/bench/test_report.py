"""What the table shows, and that a run without its counts never shows a figure."""

from bench import report
from bench.running import Figures, Result
from bench.stats import Spread
from rich.console import Console


def result(variant: str, round_number: int, rate: float) -> Result:
    figures = Figures(
        events_per_s=rate,
        seconds=1.0,
        cpu_consumer=10.0,
        cpu_clickhouse=2.5,
        rss_consumer_mb=100.0,
        rss_clickhouse_mb=200.0,
    )
    return Result(variant=variant, round_number=round_number, figures=figures)


def rendered(results: list[Result]) -> str:
    console = Console(width=160, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(report.table(results))
    return capture.get()


RESULTS = [
    result("postloop", 0, 60_000.0),
    result("quix", 0, 20_000.0),
    result("postloop", 1, 90_000.0),
    result("quix", 1, 10_000.0),
]


def test_the_ratio_is_of_rounds_and_not_of_medians() -> None:
    assert report.summary(RESULTS)["quix"]["postloop_ratio"] == Spread(6.0, 3.0, 9.0)


def test_the_table_shows_median_smallest_and_largest() -> None:
    text = rendered(RESULTS)
    assert "75,000 (60,000 to 90,000)" in text
    assert "6.00x (3.00 to 9.00)" in text
    assert "12.5" in text


def test_postloop_has_no_ratio_to_itself() -> None:
    assert report.summary(RESULTS)["postloop"]["postloop_ratio"] is None


def test_a_variant_that_never_counted_right_is_failed_and_has_no_figure() -> None:
    results = [*RESULTS, Result(variant="bytewax", round_number=0, failure="wrong counts: rows is 9, not 10")]
    line = next(line for line in rendered(results).splitlines() if "bytewax" in line)
    assert "failed" in line
    assert not any(sign.isdigit() for sign in line)
    assert report.failures(results) == ["bytewax, round 1, failed: wrong counts: rows is 9, not 10"]


def test_a_failed_round_is_left_out_of_medians_and_ratios() -> None:
    results = [*RESULTS, Result(variant="postloop", round_number=2, failure="x"), result("quix", 2, 1.0)]
    line = report.summary(results)["quix"]
    assert line["postloop_ratio"] == Spread(6.0, 3.0, 9.0)
    assert report.summary(results)["postloop"]["runs"] == 2


def test_without_postloop_there_is_no_ratio() -> None:
    assert report.summary([result("quix", 0, 5.0)])["quix"]["postloop_ratio"] is None


def test_one_value_is_shown_without_a_range() -> None:
    assert report.in_cell(Spread(3.0, 3.0, 3.0), digits=1) == "3.0"
    assert report.in_cell(None, digits=1) == ""


def test_json_holds_the_failure_or_the_figures_and_never_both() -> None:
    failed = Result(variant="quix", round_number=0, failure="no").as_json()
    assert failed == {"variant": "quix", "round": 0, "failure": "no"}
    good = RESULTS[0].as_json()
    assert (good["cpu_sum"], good["events_per_s"]) == (12.5, 60_000.0)
    assert "failure" not in good
