"""How the recorder's figures change with what grows: domains, partitions, stored rows, the memory of ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, NamedTuple

from rich.table import Table

from bench.report import BASE, figures_of, in_cell
from bench.running import Result
from bench.stats import ratios, spread
from bench.workload import Plan
from postloop.settings import Settings

STORED_ROWS: Final = 20_000_000
"""Rows stored before a run in the largest case of `stored`, and in all cases of `dedup`."""
_DOMAINS: Final = (500, 100_000)
_PARTITIONS: Final = (4, 64)
_SMALLEST_SHARE: Final = 20
# Half of `dedup_max_ids` is loaded from what was stored within `dedup_window`; the largest size is filled by the
# rows of one of the days over which STORED_ROWS are spread.
_FEW_IDS: Final = 100_000
_MANY_IDS: Final = 12_000_000
FIGURES: Final = ("events_per_s", "cpu_consumer", "cpu_clickhouse", "rss_consumer_mb", "rss_clickhouse_mb")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a run starts on. Cases with equal setups share one run a round."""

    plan: Plan
    stored_rows: int = 0
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One point of an axis."""

    axis: str
    value: int
    setup: Setup

    @property
    def name(self) -> str:
        """The axis and the value, for people."""
        return f"{self.axis} {self.value:,}"


class Run(NamedTuple):
    """A run and what it started on."""

    setup: Setup
    result: Result


def cases_of(axes: Sequence[str], plan: Plan, *, stored_rows: int = STORED_ROWS) -> list[Case]:
    """Return the cases of some axes of AXES, each axis from its smallest value on."""
    return [
        Case(axis=axis, value=value, setup=setup)
        for axis in axes
        for value, setup in AXES[axis](plan, stored_rows)
    ]


def setups_of(cases: Sequence[Case]) -> list[Setup]:
    """Return the setups of cases, each once."""
    return list(dict.fromkeys(case.setup for case in cases))


def names_of(setup: Setup, cases: Sequence[Case]) -> str:
    """Return the names of the cases that a run on this setup is for."""
    return ", ".join(case.name for case in cases if case.setup == setup)


def summary(runs: Sequence[Run], cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return for each case the spreads of its figures, its rate by that of the axis's first case, what failed."""
    lines = []
    for case in cases:
        rates, first = _figures(runs, case, "events_per_s"), next(c for c in cases if c.axis == case.axis)
        by_first = ratios(rates, _figures(runs, first, "events_per_s"))
        lines.append(
            {
                "axis": case.axis,
                "value": case.value,
                "workload": asdict(case.setup.plan),
                "stored_rows": case.setup.stored_rows,
                "settings": dict(case.setup.settings),
                **{name: spread(list(_figures(runs, case, name).values())) for name in FIGURES},
                "first_ratio": None if case == first else spread(by_first),
                "runs": len(rates),
                "failures": [r.failure for s, r in runs if s == case.setup and r.figures is None],
            }
        )
    return lines


def table(runs: Sequence[Run], cases: Sequence[Case]) -> Table:
    """Return the table of medians with smallest and largest values."""
    shown = Table(title="What grows, and what it costs", caption=_CAPTION, caption_justify="left")
    shown.add_column("case", no_wrap=True)
    for name in (
        "events/s",
        "by the first",
        "CPU s/M recorder",
        "CPU s/M ClickHouse",
        "peak MB",
        "peak MB ClickHouse",
    ):
        shown.add_column(name, justify="right")
    last_of_axis = {case.axis: case for case in cases}.values()
    for case, line in zip(cases, summary(runs, cases), strict=True):
        shown.add_row(case.name, *_cells(line), end_section=case in last_of_axis)
    return shown


_CAPTION: Final = (
    "Medians (smallest to largest). by the first: events/s by that of the axis's first case in the same round. "
    "Cases that start on the same share their runs."
)


def _cells(line: dict[str, Any]) -> list[str]:
    if not line["runs"]:
        return ["[red]failed[/]"]
    return [
        in_cell(line["events_per_s"], digits=0),
        in_cell(line["first_ratio"], digits=2, unit="x"),
        in_cell(line["cpu_consumer"], digits=1),
        in_cell(line["cpu_clickhouse"], digits=1),
        in_cell(line["rss_consumer_mb"], digits=0),
        in_cell(line["rss_clickhouse_mb"], digits=0),
    ]


def _figures(runs: Sequence[Run], case: Case, name: str) -> dict[int, float]:
    return figures_of([result for setup, result in runs if setup == case.setup], BASE, name)


_Points = list[tuple[int, Setup]]


def _domains(plan: Plan, _: int) -> _Points:
    return [(count, Setup(plan=replace(plan, domain_count=count))) for count in _DOMAINS]


def _partitions(plan: Plan, _: int) -> _Points:
    return [(count, Setup(plan=replace(plan, partition_count=count))) for count in _PARTITIONS]


def _stored(plan: Plan, largest: int) -> _Points:
    return [(count, Setup(plan=plan, stored_rows=count)) for count in (largest // _SMALLEST_SHARE, largest)]


def _dedup(plan: Plan, stored_rows: int) -> _Points:
    default = Settings.model_fields["dedup_max_ids"].default
    return [
        (
            count,
            Setup(
                plan=plan,
                stored_rows=stored_rows,
                # Not said where it is the default, so that the run is that of the case with as many stored rows.
                settings=() if count == default else (("dedup_max_ids", str(count)),),
            ),
        )
        for count in (_FEW_IDS, default, _MANY_IDS)
    ]


AXES: Final[dict[str, Callable[[Plan, int], _Points]]] = {
    "domains": _domains,
    "partitions": _partitions,
    "stored": _stored,
    "dedup": _dedup,
}
