"""`python -m bench webhooks PART`: the webhooks role with real processes."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, Timeout, latency_line, part, write
from bench.webhooks.isolation import measure_isolation
from bench.webhooks.throughput import measure_throughput

app = typer.Typer(no_args_is_help=True, help="The webhooks role: docs/webhooks.md explains the figures.")


def register(parent: typer.Typer) -> None:
    """Add `webhooks`."""
    parent.add_typer(app, name="webhooks")


@app.command()
def throughput(
    deliveries: Annotated[int, typer.Option(min=1000, help="Events that are delivered.")] = 30_000,
    endpoints: Annotated[int, typer.Option(min=1, help="Endpoints they are spread over.")] = 4,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    timeout_s: Timeout = 300.0,
    json_file: JsonFile = None,
) -> None:
    """A backlog of events -> deliveries a second: python -m bench webhooks throughput"""
    seen = []
    with part("rounds", rounds) as (place, say):
        for number in range(rounds):
            own = place.directory / str(number)
            own.mkdir()
            found = measure_throughput(deliveries, endpoints, own, timeout_s=timeout_s)
            seen.append(found)
            say(number + 1)
            place.say(
                f"{found.deliveries:,} deliveries to {found.endpoints} endpoints: {found.per_s:,.0f} a second, bare "
                f"aiohttp {found.bare_per_s:,.0f}, ratio {found.ratio:.2f}; {found.worker_cpu_us:.0f} us CPU each; "
                f"peak {found.peak_mb:,.0f} MB; {found.repeats} repeats"
            )
    if json_file:
        write(json_file, {"machine": facts.machine(), "throughput": seen})


@app.command()
def isolation(
    endpoints: Annotated[int, typer.Option(min=2, help="All of them.")] = 100,
    hanging: Annotated[int, typer.Option(min=1, help="Of them never answer, in the second run.")] = 1,
    rate: Annotated[int, typer.Option(min=1, help="Events a second, over all endpoints.")] = 200,
    seconds: Annotated[int, typer.Option(min=5, help="How long a run is.")] = 60,
    json_file: JsonFile = None,
) -> None:
    """What one endpoint that hangs does to the others: python -m bench webhooks isolation"""
    seen = []
    with part("runs", 2) as (place, say):
        for found in measure_isolation(endpoints, rate, seconds, place.directory, hanging=hanging):
            seen.append(found)
            say(len(seen))
            place.say(
                f"{found.hanging} hang ({found.attempts_of_hanging} attempts): {latency_line(found.healthy)}"
            )
    if json_file:
        write(json_file, {"machine": facts.machine(), "isolation": seen})
