"""The `postloop` command: puts the commands together, one module per noun."""

from __future__ import annotations

import typer

app = typer.Typer(
    name="postloop",
    help="Deliverability feedback for mail platforms: exact aggregates, blocklist events, webhooks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)


def main() -> None:
    """Entry point of the console script."""
    app()
