"""What every command shares: exit codes, where the stack is, how errors and data are shown."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from postloop.adapters.errors import RefusedError, UnavailableError
from postloop.domain.errors import PostloopError
from postloop.settings import Settings, SettingsError, load_settings, running_stack

# Data goes to stdout, everything said to a person to stderr: a pipe sees data only.
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
_PROGRESS_STEP_BYTES: Final = 65_536
_ZONE: Final = re.compile(r"(?:Z|[+-]\d\d:\d\d)$", re.IGNORECASE)


class Exit(IntEnum):
    """Exit codes of the command line."""

    DONE = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4


_ADDRESSES: Final = frozenset({"kafka_brokers", "clickhouse_url"})

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
    """Return the settings in force, or leave with exit code 2 and the reason.

    Who names the data directory of a stack means that stack: where none runs on it, and nothing else says where Kafka
    and ClickHouse are, the default addresses could be those of another one. That is exit code 3.
    """
    settings = settings_in_force(data_dir)
    is_told = not _ADDRESSES.isdisjoint(settings.model_fields_set)
    if data_dir is not None and not is_told and not running_stack(data_dir):
        raise stop(
            f"no `postloop up` runs on {data_dir}: start it, or say with POSTLOOP_KAFKA_BROKERS and "
            "POSTLOOP_CLICKHOUSE_URL where Kafka and ClickHouse are",
            Exit.UNREACHABLE,
        )
    return settings


def settings_in_force(data_dir: Path | None) -> Settings:
    """Return the same for a command that does not need a running stack."""
    with guarded():
        return load_settings(data_dir=data_dir)


def time_option(text: str, option: str) -> datetime:
    """Return the instant that an option says, or leave with exit code 2 and the reason."""
    try:
        if _ZONE.search(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the zone can carry it out of all years
        pass
    raise stop(f"{option} must be a time with a zone like 2026-01-02T00:00:00Z: {text!r}", Exit.USAGE)


def byte_progress(stack: ExitStack, what: str, size: int | None) -> tuple[Callable[[int], None], Progress]:
    """Show a bar of `size` bytes until the stack closes; return the function that moves it, and the bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    progress = stack.enter_context(Progress(*columns, console=err, transient=True))
    task = progress.add_task(what, total=size)
    pending = 0

    def advance(count: int) -> None:
        nonlocal pending
        pending += count
        if (
            pending >= _PROGRESS_STEP_BYTES
        ):  # the bar takes a lock and the time at each step: more than a line costs
            progress.advance(task, pending)
            pending = 0

    return advance, progress


def print_json(value: Any) -> None:
    """Write one JSON document as one line on stdout, at once (a reader may wait for it)."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def wrapped(text: str, width: int, *, first: str = "", rest: str = "", style: str = "") -> Iterator[Text]:
    """Yield a text as lines of this width, the first one behind `first`, the others behind `rest`."""
    for line in textwrap.wrap(
        printable(text), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    ):
        yield Text(line, style=style)


def printable(text: str) -> str:
    """Return what a stranger wrote, without what a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
