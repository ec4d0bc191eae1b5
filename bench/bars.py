"""What a chart of a result shows, apart from how it is drawn. Imported by the environment that draws: no packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.registry import VARIANTS
from postloop.domain.errors import PostloopError

LIMIT: Final = "ceiling"
"""No way to do the job, but what would be possible without Python per event."""


class NoChartError(PostloopError):
    """A file holds nothing that can be drawn; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Events a second of one variant: the median of its runs, the smallest and the largest."""

    name: str
    title: str
    is_ours: bool
    median: float
    low: float
    high: float

    @property
    def label(self) -> str:
        """The median as it stands beside the bar."""
        return f"{self.median:,.0f}"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The bars, the longest first, and a line about what was measured and where."""

    bars: tuple[Bar, ...]
    note: str


def read_chart(path: Path) -> Chart:
    """Return the chart of a file that `bench run --json` wrote.

    Raises:
        NoChartError: It is no such file, or no run in it was good.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoChartError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise NoChartError(f"{path} is not JSON: {error}") from error
    try:
        return chart_of(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise NoChartError(f"{path} was not written by `bench run --json`: {error!r}") from error


def chart_of(document: Mapping[str, Any]) -> Chart:
    """Return the chart of a result; variants without a good run are named in its note.

    Raises:
        NoChartError: No run was good.
        KeyError, TypeError, AttributeError: It is no result.
    """
    summary: Mapping[str, Mapping[str, Any]] = document["summary"]
    rates = {name: line["events_per_s"] for name, line in summary.items() if line["events_per_s"]}
    if not rates:
        raise NoChartError("no run of the result was good: there is nothing to draw")
    bars = [
        Bar(
            name=name,
            title=VARIANTS[name].title if name in VARIANTS else "",
            is_ours=name in VARIANTS and VARIANTS[name].is_product,
            median=rate["median"],
            low=rate["low"],
            high=rate["high"],
        )
        for name, rate in rates.items()
    ]
    failed = [name for name in summary if name not in rates]
    return Chart(
        bars=tuple(sorted(bars, key=lambda bar: (-bar.median, bar.name))), note=_note(document, failed)
    )


def _note(document: Mapping[str, Any], failed: list[str]) -> str:
    rounds = max(line["runs"] for line in document["summary"].values())
    machine = document["machine"]
    parts = [
        f"{document['workload']['event_count']:,} events",
        f"{rounds} {'round' if rounds == 1 else 'rounds'}"
        + (": median, smallest to largest" if rounds > 1 else ""),
        f"{machine['cores']} cores, {machine['cpu']}",
    ]
    if failed:
        parts.append(f"without a good run: {', '.join(failed)}")
    return "  \u00b7  ".join(parts)
