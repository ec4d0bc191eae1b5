"""`python -m bench domain-page`: pages of sender domains over HTTP, with many events stored and others coming in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, latency_line, out, stop, workplace, write
from bench.domain_page import PagePlan, measure
from postloop.adapters.garbage_collector import tune_garbage_collector
from postloop.domain.errors import PostloopError


def register(app: typer.Typer) -> None:
    """Add `domain-page`."""
    app.command("domain-page")(domain_page)


def domain_page(
    events: Annotated[int, typer.Option(min=1_000, help="Raw events stored before.")] = 10_000_000,
    rate: Annotated[int, typer.Option(min=0, help="Events a second that come in; 0: none.")] = 500,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before the first page.")] = 60.0,
    pages: Annotated[int, typer.Option(min=2, help="Pages asked for.")] = 300,
    pages_per_s: Annotated[float, typer.Option(min=0.1, help="How many a second.")] = 2.0,
    keep: Annotated[
        Path | None,
        typer.Option(help="Store the events there, or use those that are there.", file_okay=False),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Ask a whole stack for pages of domains that nobody asked for lately: python -m bench domain-page"""
    plan = PagePlan(
        event_count=events, rate_per_s=rate, warm_up_s=warm_up, pages_per_s=pages_per_s, page_count=pages
    )
    tune_garbage_collector()
    with workplace() as place:
        directory = keep.absolute() if keep else place.directory
        directory.mkdir(parents=True, exist_ok=True)
        try:
            found = measure(plan, directory, say=place.say)
        except PostloopError as error:
            raise stop(str(error), code=3) from None
    out.print(f"{latency_line(found.latency)}, {found.failed} failed", highlight=False)
    if json_file:
        write(json_file, {"machine": facts.machine(), "plan": plan, "pages": found})
