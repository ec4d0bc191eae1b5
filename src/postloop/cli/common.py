"""What every command shares: exit codes, where the stack is, how errors and data are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.domain.errors import PostloopError
from postloop.settings import Settings, SettingsError, load_settings

# Data goes to stdout, everything said to a person to stderr: a pipe sees data only.
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Data directory of a running `postloop up` (default: POSTLOOP_DATA_DIR or .postloop).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document, or JSON lines, instead of a table.")]


def stop(text: str, code: Exit) -> typer.Exit:
    """Say one sentence on stderr and return the exit to raise: `raise stop("...", Exit.NO)`."""
    err.print(f"[bold red]error:[/] {_plain(text)}" if code else _plain(text))
    return typer.Exit(int(code))


@contextmanager
def guarded() -> Iterator[None]:
    """Turn errors made on purpose into one message and an exit code; a bug keeps its traceback."""
    try:
        yield
    except SettingsError as error:
        raise stop(str(error), Exit.USAGE) from None
    except UnavailableError as error:
        raise stop(str(error), Exit.UNREACHABLE) from None
    except RefusedError as error:
        raise stop(str(error), Exit.UNREACHABLE) from None
    except PostloopError as error:
        raise stop(str(error), Exit.USAGE) from None


def settings_for(data_dir: Path | None) -> Settings:
    """Return the settings in force, or leave with exit code 2 and the reason."""
    with guarded():
        return load_settings(data_dir=data_dir)


def print_json(value: Any) -> None:
    """Write one JSON document as one line on stdout, at once (a reader may wait for it)."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
