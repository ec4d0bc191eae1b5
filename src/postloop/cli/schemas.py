"""`postloop schemas export`: the contracts of the topics as JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from postloop.cli.common import Exit, err, print_json, stop
from postloop.contracts.schema_export import export_schemas, schema_text

schemas = typer.Typer(no_args_is_help=True, help="The contracts of the topics as JSON Schema.")


def register(app: typer.Typer) -> None:
    """Add `postloop schemas`."""
    app.add_typer(schemas, name="schemas")


@schemas.callback()
def _only_group() -> None:
    """The contracts of the topics as JSON Schema."""


@schemas.command()
def export(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Write one file per topic here; without it all go to stdout.")
    ] = None,
) -> None:
    """Write the JSON Schema (draft 2020-12) of the topics and of the bodies of webhooks.

    Example: [bold]postloop schemas export --dir ./schemas[/]
    """
    exported = export_schemas()
    if directory is None:
        print_json(exported)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, schema in exported.items():
            (directory / name).write_text(schema_text(schema), encoding="utf-8")
    except OSError as error:
        raise stop(f"{directory} cannot be written: {error.strerror}", Exit.USAGE) from None
    err.print(f"{len(exported)} schemas in {directory}")
