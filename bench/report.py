"""The table that a person reads, and the JSON that keeps every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table

from bench.registry import VARIANTS
from bench.running import Result
from bench.stats import Spread, ratios, spread

BASE: Final = "postloop"
FOOTNOTE: Final = (
    "Medians (smallest to largest). Clock: assignment of partitions (quix, bytewax: first record, which is "
    "later) to the last row visible, counted over HTTP every 20 ms near the end; that is in ClickHouse's CPU. "
    "CPU: seconds per million records. The peers are at least once, without deduplication or insert runs, and "
    "faust-each acks before a row is stored: all to their advantage. ceiling does not look up addresses and providers."
)


def figures_of(results: Sequence[Result], variant: str, name: str) -> dict[int, float]:
    """Return one figure of a variant by round; failed runs are left out."""
    return {
        result.round_number: float(getattr(result.figures, name))
        for result in results
        if result.variant == variant and result.figures is not None
    }


def summary(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Return for each variant the spreads of its figures, its ratio to ours, and what failed."""
    base = figures_of(results, BASE, "events_per_s")
    lines: dict[str, dict[str, Any]] = {}
    for variant in dict.fromkeys(result.variant for result in results):
        rates = figures_of(results, variant, "events_per_s")
        names = ("events_per_s", "cpu_consumer", "cpu_clickhouse", "cpu_sum", "rss_consumer_mb")
        failures = [r.failure for r in results if r.variant == variant and r.figures is None]
        lines[variant] = {
            **{name: spread(list(figures_of(results, variant, name).values())) for name in names},
            "postloop_ratio": None if variant == BASE else spread(ratios(base, rates)),
            "runs": len(rates),
            "failures": failures,
        }
    return lines


def table(results: Sequence[Result]) -> Table:
    """Return the table of medians with smallest and largest values."""
    shown = Table(
        title="From Kafka to exact aggregates in ClickHouse", caption=FOOTNOTE, caption_justify="left"
    )
    shown.add_column("variant", no_wrap=True)
    for name in (
        "events/s",
        "CPU s/M consumer",
        "CPU s/M ClickHouse",
        "CPU s/M sum",
        "peak MB",
        "postloop is",
    ):
        shown.add_column(name, justify="right")
    for variant, line in summary(results).items():
        shown.add_row(variant, *_cells(line))
    return shown


def failures(results: Sequence[Result]) -> list[str]:
    """Return one line for each run that has no figures."""
    return [
        f"{r.variant}, round {r.round_number + 1}, failed: {r.failure}" for r in results if r.figures is None
    ]


def _cells(line: dict[str, Any]) -> list[str]:
    if not line["runs"]:
        return ["[red]failed[/]"]
    return [
        in_cell(line["events_per_s"], digits=0),
        in_cell(line["cpu_consumer"], digits=1),
        in_cell(line["cpu_clickhouse"], digits=1),
        in_cell(line["cpu_sum"], digits=1),
        in_cell(line["rss_consumer_mb"], digits=0),
        in_cell(line["postloop_ratio"], digits=2, unit="x"),
    ]


def in_cell(value: Spread | None, *, digits: int, unit: str = "") -> str:
    """Return `median (low to high)`; the range is left out when there is only one value."""
    if value is None:
        return ""
    middle = f"{value.median:,.{digits}f}{unit}"
    if value.low == value.high:
        return middle
    return f"{middle} ({value.low:,.{digits}f} to {value.high:,.{digits}f})"


def title_of(variant: str) -> str:
    """Return what a variant is, in a few words."""
    return VARIANTS[variant].title
