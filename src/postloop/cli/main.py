"""The `postloop` command: puts the commands together, one module per noun."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import typer

from postloop.adapters.installed import installed_version
from postloop.adapters.library_logs import silence_libraries
from postloop.cli.common import out
from postloop.cli.on_demand import OnDemandGroup

# What runs things, then what keeps them in order, then what answers questions, then what brings events.
_NAMES = (
    *("up", "worker", "api", "clickhouse"),
    *("migrate", "reconcile", "reclassify", "topics", "schemas", "deadletter", "blocklist", "webhook", "key"),
    *("config", "doctor", "domain", "message", "reputation"),
    *("simulate", "verify", "import", "explain", "classify"),
)
# A module has the name of its command, but where that is a word of Python.
_OTHER_NAMES = {"import": "import_events"}


class Postloop(OnDemandGroup):
    """The commands of `postloop`."""

    modules = MappingProxyType({name: f"postloop.cli.{_OTHER_NAMES.get(name, name)}" for name in _NAMES})


app = typer.Typer(
    name="postloop",
    cls=Postloop,
    help="Deliverability feedback for mail platforms: exact aggregates, blocklist events, webhooks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
)


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
