"""`python -m bench latency`: produce -> visible at a steady rate."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, stop, workplace, write
from bench.latency import LatencyPlan, measure_latency
from postloop.domain.errors import PostloopError


def register(app: typer.Typer) -> None:
    """Add `latency`."""
    app.command()(latency)


def latency(
    rate: Annotated[int, typer.Option(min=1, help="Records a second.")] = 1000,
    seconds: Annotated[int, typer.Option(min=2, help="How long to produce.")] = 20,
    json_file: JsonFile = None,
) -> None:
    """Measure produce -> visible of the recorder: python -m bench latency --rate 1000 --seconds 20"""
    found = {}
    with workplace() as place:
        for name, linger in (("default", ""), ("linger 50 ms", "50ms")):
            task = place.bar.add_task(f"latency, {name}", total=None)
            plan = LatencyPlan(rate_per_s=rate, duration_s=seconds, linger=linger)
            try:
                found[name] = measure_latency(plan, place.directory / (linger or "default"))
            except PostloopError as error:
                raise stop(str(error), code=3) from None
            place.bar.remove_task(task)
            shown = found[name]
            place.say(
                f"{name}: p50 {shown.p50_ms:.0f} ms, p95 {shown.p95_ms:.0f} ms, p99 {shown.p99_ms:.0f} ms, "
                f"longest {shown.longest_ms:.0f} ms ({shown.count} records)"
            )
    if json_file:
        write(json_file, {"machine": facts.machine(), "rate_per_s": rate, "latency": found})
