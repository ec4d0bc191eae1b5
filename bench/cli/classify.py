"""`python -m bench classify`: the time of a verdict on a bounce."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import facts
from bench.classify import measure_file, measure_fuzz
from bench.cli.common import JsonFile, out, write


def register(app: typer.Typer) -> None:
    """Add `classify`."""
    app.command()(classify)


def classify(
    file: Annotated[Path, typer.Argument(help="JSON lines, as `postloop classify --jsonl` reads them.")],
    rounds: Annotated[int, typer.Option(min=1, help="Of each text the fastest round counts.")] = 20,
    texts: Annotated[int, typer.Option(min=4, help="Made up texts of 100 kB.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the made up texts.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Measure the time of a verdict on a bounce: python -m bench classify bounces.jsonl"""
    found = {
        "file": measure_file(file, rounds=rounds),
        "fuzz": measure_fuzz(texts, seed=seed, rounds=min(rounds, 3)),
    }
    for name, times in found.items():
        out.print(
            f"{name}: median {times.median_us:,.0f} µs, p99 {times.p99_us:,.0f} µs, longest "
            f"{times.longest_us:,.0f} µs ({times.count} texts; rules loaded in {times.load_ms:.0f} ms)",
            highlight=False,
        )
    if json_file:
        write(json_file, {"machine": facts.machine(), "classify": found})
