"""`postloop worker ROLE`: become one process of the stack."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from postloop.cli.common import DataDir, Exit, settings_in_force, stop
from postloop.domain.roles import ROLES


def register(app: typer.Typer) -> None:
    """Add `postloop worker`."""
    app.command()(worker)


def worker(
    role: Annotated[str, typer.Argument(help=f"One of: {', '.join(ROLES)}.")],
    data_dir: DataDir = None,
) -> None:
    """Run one role in the foreground until SIGTERM or Ctrl-C. Start more of the same to share the work.

    Example: [bold]POSTLOOP_KAFKA_BROKERS=kafka:9092 postloop worker recorder[/]
    """
    if role not in ROLES:
        raise stop(f"no role {role!r} in this release; there is: {', '.join(ROLES)}", Exit.USAGE)
    settings_in_force(data_dir)  # a wrong setting is told here, before a process is started
    if data_dir is not None:
        os.environ["POSTLOOP_DATA_DIR"] = str(data_dir)
    become([sys.executable, "-m", "postloop_streams", role])


def become(command: list[str]) -> None:
    """Replace this process: signals and the exit code are those of the command."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606  # no shell is the point
