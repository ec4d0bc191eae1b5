"""`postloop api`: become the process that answers over HTTP."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from postloop.cli.common import DataDir, settings_in_force
from postloop.cli.worker import become


def register(app: typer.Typer) -> None:
    """Add `postloop api`."""
    app.command()(api)


def api(
    host: Annotated[str, typer.Option(help="Address to listen on (default: POSTLOOP_API_HOST).")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port (default: POSTLOOP_API_PORT).")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the API in the foreground until SIGTERM or Ctrl-C. Start more of the same behind a load balancer.

    It speaks HTTP without TLS: put it behind something that speaks HTTPS before keys cross a network.

    Example: [bold]postloop api --port 8080[/]
    """
    settings_in_force(data_dir)  # a wrong setting is told here, before a process is started
    if data_dir is not None:
        os.environ["POSTLOOP_DATA_DIR"] = str(data_dir)
    command = [sys.executable, "-m", "postloop.api"]
    if host:
        command += ["--host", host]
    if port is not None:
        command += ["--port", str(port)]
    become(command)
