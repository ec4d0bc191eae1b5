"""`python -m bench api-check`: the latency of the API's blocklist check at a steady rate."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from bench import facts
from bench.api_check import measure
from bench.cli.common import JsonFile, out, write
from postloop.adapters.garbage_collector import tune_garbage_collector


def register(app: typer.Typer) -> None:
    """Add `api-check`."""
    app.command("api-check")(api_check)


def api_check(
    url: Annotated[str, typer.Option(help="Of a running API.")],
    key: Annotated[str, typer.Option(help="A key of it.")],
    pairs: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    json_file: JsonFile = None,
) -> None:
    """Ask a running API which recipients may be mailed."""
    tune_garbage_collector()  # a full collection of this process stopped its requests for 0.2 s
    found = asyncio.run(measure(url, key=key, pairs=pairs, rate=rate, seconds=seconds))
    out.print(
        f"{found.requests:,} requests, {found.failed} failed: p50 {found.p50_ms:.1f} ms, "
        f"p95 {found.p95_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, max {found.max_ms:.1f} ms",
        highlight=False,
    )
    if json_file:
        write(json_file, {"machine": facts.machine(), "api_check": found})
