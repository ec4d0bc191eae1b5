"""`postloop clickhouse`: the embedded ClickHouse alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from postloop.cli.common import DataDir, Exit, settings_in_force, stop
from postloop.cli.worker import become


def register(app: typer.Typer) -> None:
    """Add `postloop clickhouse`."""
    app.command()(clickhouse)


def clickhouse(
    data_dir: DataDir = None,
    path: Annotated[
        Path | None, typer.Option(help="Where the data is (default: DATA_DIR/clickhouse).")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTP interface.")] = 8123,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Run the embedded ClickHouse alone: the real engine behind ClickHouse's HTTP protocol, for one machine.

    Example: [bold]postloop clickhouse --path ./data --port 8124[/]
    """
    if importlib.util.find_spec("chdb") is None:
        raise stop("the embedded ClickHouse is not installed: pip install 'postloop[embedded]'", Exit.USAGE)
    settings = settings_in_force(data_dir)
    directory = path or (data_dir or settings.data_dir) / "clickhouse"
    arguments = ["--path", str(directory), "--host", host, "--port", str(port)]
    become([sys.executable, "-m", "postloop.embedded.chserver", *arguments])
