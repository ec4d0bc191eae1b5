"""`python -m bench`: puts the commands together."""

from __future__ import annotations

import signal
import sys

import typer

from bench.cli import (
    api_check,
    blocklist,
    chart,
    classify,
    domain_page,
    gate,
    growth,
    latency,
    lookup,
    memory,
    recovery,
    reputation,
    reputation_role,
    run,
    webhook_http,
    webhooks,
)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Benchmarks; docs/performance.md explains them."
)

run.register(app)
growth.register(app)
latency.register(app)
lookup.register(app)
domain_page.register(app)
recovery.register(app)
memory.register(app)
classify.register(app)
blocklist.register(app)
webhook_http.register(app)
webhooks.register(app)
reputation.register(app)
reputation_role.register(app)
api_check.register(app)
gate.register(app)
chart.register(app)


@app.callback()
def main() -> None:
    """Leave by way of an exception when told to stop: whatever was started is then stopped too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
