"""The `postloop` command: puts the commands together, one module per noun."""

from __future__ import annotations

from typing import Annotated

import typer

from postloop.adapters.metrics import installed_version
from postloop.adapters.telemetry import silence_libraries
from postloop.cli import (
    api,
    blocklist,
    classify,
    clickhouse,
    config,
    deadletter,
    doctor,
    domain,
    explain,
    import_events,
    key,
    message,
    migrate,
    reclassify,
    reconcile,
    reputation,
    schemas,
    simulate,
    topics,
    up,
    verify,
    webhook,
    webhook_endpoints,
    webhook_sending,
    worker,
)
from postloop.cli.common import out

app = typer.Typer(
    name="postloop",
    help="Deliverability feedback for mail platforms: exact aggregates, blocklist events, webhooks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)

up.register(app)
worker.register(app)
api.register(app)
clickhouse.register(app)
migrate.register(app)
reconcile.register(app)
reclassify.register(app)
topics.register(app)
schemas.register(app)
deadletter.register(app)
blocklist.register(app)
webhook.register(app)
webhook_endpoints.register(webhook.webhook)
webhook_sending.register(webhook.webhook)
key.register(app)
config.register(app)
doctor.register(app)
domain.register(app)
message.register(app)
reputation.register(app)
simulate.register(app)
verify.register(app)
import_events.register(app)
explain.register(app)
classify.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"postloop {installed_version()}")
        raise typer.Exit


@app.callback()
def before_every_command(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Deliverability feedback for mail platforms: exact aggregates, blocklist events, webhooks."""
    silence_libraries()


def main() -> None:
    """Entry point of the console script."""
    app()
