"""Draws a chart with matplotlib: `python -m bench.draw RESULT.json OUT.svg`, run in the environment `chart`.

The same result gives the same bytes: ids in an SVG have a fixed salt, there is no date, and text stays text, so that
a changed figure is a changed line. The panel is white, on dark pages too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.bars import LIMIT, Bar, Chart, read_chart

_INK: Final = "#1f2328"
_QUIET: Final = "#636c76"
_GRID: Final = "#d8dee4"
_OURS: Final = "#0969da"
_PEER: Final = "#afb8c1"
_STYLE: Final = {
    "svg.hashsalt": "postloop",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.facecolor": "white",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
# What would differ from day to day, and from version to version.
_METADATA: Final = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def draw(chart: Chart, path: Path) -> None:
    """Write the chart to an SVG or PNG file."""
    with mpl.rc_context(_STYLE):
        height = 1.5 + 0.5 * len(chart.bars)
        figure = Figure(figsize=(8.8, height))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.37, right=0.95, top=1 - 0.65 / height, bottom=0.75 / height)
        longest = max(bar.high for bar in chart.bars)
        for place, bar in enumerate(chart.bars):
            _draw_bar(axes, place, bar, longest=longest)
        _dress(axes, count=len(chart.bars), longest=longest)
        figure.text(
            0.02,
            1 - 0.35 / height,
            "Events per second, from Kafka to exact aggregates in ClickHouse",
            fontsize=12,
            fontweight="bold",
        )
        figure.text(0.02, 0.18 / height, chart.note, fontsize=8, color=_QUIET)
        figure.savefig(path, dpi=200, metadata=_METADATA[path.suffix])


def _draw_bar(axes: Any, place: int, bar: Bar, *, longest: float) -> None:
    fill = {"color": _OURS if bar.is_ours else _PEER}
    if bar.name == LIMIT:
        fill = {"facecolor": "white", "edgecolor": _PEER, "hatch": "////"}
    axes.barh(place, bar.median, height=0.62, **fill)
    if bar.low != bar.high:
        spread = [[bar.median - bar.low], [bar.high - bar.median]]
        axes.errorbar(bar.median, place, xerr=spread, color=_INK, capsize=3, elinewidth=1, capthick=1)
    weight = "bold" if bar.is_ours else "normal"
    axes.text(bar.high + longest * 0.015, place, bar.label, va="center", fontweight=weight)
    label = {"ha": "right", "transform": axes.get_yaxis_transform()}
    axes.text(-0.02, place - 0.04, bar.name, va="bottom", fontweight=weight, **label)
    axes.text(-0.02, place + 0.06, bar.title, va="top", fontsize=7.5, color=_QUIET, **label)


def _dress(axes: Any, *, count: int, longest: float) -> None:
    axes.set_ylim(count - 0.45, -0.55)
    axes.set_xlim(0, longest * 1.16)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", colors=_QUIET, length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


if __name__ == "__main__":
    draw(read_chart(Path(sys.argv[1])), Path(sys.argv[2]))
