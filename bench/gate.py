"""A gate for continuous integration: our cost beside a plain loop's in the same run, against what was noted before.

Rates and seconds say more of the machine than of the code. A ratio within one run does not: both sides share the
broker, the database, the schema and the machine's slow phases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Final

from rich.table import Table

from bench.report import BASE, figures_of
from bench.running import Result
from bench.stats import ratios

PEER: Final = "aiokafka"
"""What we are compared with: it needs no environment of its own."""
NOTES: Final = Path(__file__).with_name("gate.json")
MARGIN: Final = 0.35
"""How much worse a ratio may be than the noted one. Medians of two rounds moved by up to a fifth on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Ours by the peer's; the first two are better when smaller, the third when larger."""

    cpu_consumer: float
    cpu_sum: float
    events_per_s: float


_BETTER_WHEN_LARGER: Final = frozenset({"events_per_s"})


@dataclass(frozen=True, kw_only=True)
class Note:
    """What was measured once, and for which change."""

    at: str
    change: str
    ratios: Ratios


def ratios_of(results: Sequence[Result]) -> Ratios:
    """Return the medians over the rounds in which both sides have figures.

    Raises:
        ValueError: There is no such round.
    """
    found: dict[str, float] = {}
    for figure in fields(Ratios):
        ours, theirs = (figures_of(results, name, figure.name) for name in (BASE, PEER))
        values = ratios(ours, theirs)
        if not values:
            raise ValueError("no round with figures of both sides")
        found[figure.name] = median(values)
    return Ratios(**found)


def complaints(found: Ratios, noted: Ratios, *, margin: float = MARGIN) -> list[str]:
    """Return one sentence for each ratio that is worse than the noted one by more than the margin."""
    said = []
    for name, now in asdict(found).items():
        before: float = getattr(noted, name)
        worse_by = before / now if name in _BETTER_WHEN_LARGER else now / before
        if worse_by > 1 + margin:
            said.append(
                f"{name} is {now:.2f} of {PEER}'s, it was {before:.2f}: worse by more than {margin:.0%}"
            )
    return said


def read_notes(path: Path = NOTES) -> list[Note]:
    """Return what was noted, the oldest first."""
    notes: list[Mapping[str, object]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [Note(**{**note, "ratios": Ratios(**note["ratios"])}) for note in notes]  # type: ignore[arg-type, dict-item]


def add_note(note: Note, path: Path = NOTES) -> None:
    """Append a note."""
    notes = [asdict(old) for old in (*read_notes(path), note)]
    path.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")


def trend(notes: Sequence[Note], found: Ratios) -> Table:
    """Return the noted ratios and the present ones as a table."""
    table = Table(title=f"{BASE} by {PEER}, in one run")
    table.add_column("when")
    table.add_column("change")
    for name in (field.name for field in fields(Ratios)):
        table.add_column(name, justify="right")
    for at, change, values in [*((note.at, note.change, note.ratios) for note in notes), ("now", "", found)]:
        table.add_row(at, change, *(f"{value:.2f}" for value in asdict(values).values()))
    return table
