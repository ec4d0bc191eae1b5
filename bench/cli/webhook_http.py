"""`python -m bench webhook-http`: the sender of webhooks beside a bare aiohttp loop."""

from __future__ import annotations

from typing import Annotated

import typer

from bench import facts
from bench.cli.common import JsonFile, out, write
from bench.webhook_http import measure


def register(app: typer.Typer) -> None:
    """Add `webhook-http`."""
    app.command("webhook-http")(webhook_http)


def webhook_http(
    count: Annotated[int, typer.Option(min=100, help="Deliveries of one turn.")] = 5_000,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    concurrency: Annotated[int, typer.Option(min=1, help="Deliveries at the same time.")] = 32,
    endpoints: Annotated[int, typer.Option(min=1, help="Endpoints they are spread over.")] = 1,
    body_bytes: Annotated[int, typer.Option(min=64)] = 800,
    json_file: JsonFile = None,
) -> None:
    """Measure deliveries a second of one sender to a fast receiver on this machine."""
    found = measure(
        count=count, rounds=rounds, concurrency=concurrency, endpoints=endpoints, body_bytes=body_bytes
    )
    for number, one in enumerate(found.rounds, 1):
        out.print(
            f"round {number}: sender {one.sender_per_s:,.0f}/s ({one.sender_cpu_us:.0f} µs CPU each), "
            f"bare aiohttp {one.bare_per_s:,.0f}/s ({one.bare_cpu_us:.0f} µs)",
            highlight=False,
        )
    out.print(
        f"median: sender {found.sender_per_s:,.0f}/s, bare aiohttp {found.bare_per_s:,.0f}/s, "
        f"ratio {found.ratio:.2f}",
        highlight=False,
    )
    if json_file:
        write(json_file, {"machine": facts.machine(), "webhook_http": found})
