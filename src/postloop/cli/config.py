"""`postloop config`: every setting in force, where it comes from, and what it means."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from rich.markup import escape
from rich.table import Table

from postloop.adapters.settings_check import check_settings
from postloop.cli.common import AsJson, DataDir, guarded, out, print_json, settings_in_force
from postloop.settings import PREFIX, Settings, running_stack

HIDDEN: Final = "(hidden)"
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def register(app: typer.Typer) -> None:
    """Add `postloop config`."""
    app.command()(config)


def config(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show every setting in force and where it comes from. Secrets stay hidden.

    A setting is POSTLOOP_ and its name in capitals. The environment wins over the file .env, which wins over a
    running `postloop up`.

    Example: [bold]postloop config --json | jq .settings.kafka_brokers[/]
    """
    settings = settings_in_force(data_dir)
    with guarded():
        check_settings(settings)
    sources = sources_of(settings, data_dir)
    if as_json:
        shown = {name: shown_value(getattr(settings, name)) for name in Settings.model_fields}
        print_json({"settings": shown, "sources": sources})
        return
    table = Table("setting", "value", "from", "meaning", box=None)
    for name, field in Settings.model_fields.items():
        value = "" if (shown := shown_value(getattr(settings, name))) is None else str(shown)
        style = None if sources[name] == "default" else "bold"
        table.add_row(name, escape(value), sources[name], escape(field.description or ""), style=style)
    out.print(table)


def sources_of(settings: Settings, data_dir: Path | None) -> dict[str, str]:
    """Return for each setting: environment, .env, stack, option or default."""
    environment = {name.lower() for name in os.environ}
    file = {name.lower() for name in dotenv_values(".env")}
    stack = running_stack(settings.data_dir)

    def source(name: str) -> str:
        variable = f"{PREFIX}{name}".lower()
        if name == "data_dir" and data_dir is not None:
            return "option"
        if variable in environment:
            return "environment"
        if variable in file:
            return ".env"
        return "stack" if name in stack else "default"

    return {name: source(name) for name in Settings.model_fields}


def shown_value(value: Any) -> Any:
    """Return a setting as a person writes it; a secret that is set shows as hidden."""
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, timedelta):
        return written(value)
    return str(value) if isinstance(value, Path) else value


def written(value: timedelta) -> str:
    """Return a duration in the largest unit that divides it, like `7d`, `90m` or `250ms`."""
    milliseconds = round(value.total_seconds() * 1000)
    for seconds, unit in _UNITS:
        if milliseconds % (seconds * 1000) == 0:
            return f"{milliseconds // (seconds * 1000)}{unit}"
    return f"{milliseconds}ms"
